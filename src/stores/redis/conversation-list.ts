import type { Conversation, ConversationPage, PageRequest } from '../chat-store.ts';
import { type Cursor, encodeCursor, parseCursor } from '../cursor.ts';
import { asList, asTexts } from './answers.ts';
import { type ConversationPlace, toCallerKeys, toConversationKeys, toNamedPlace } from './keys.ts';
import type { RedisParts } from './redis-parts.ts';
import * as scripts from './scripts.ts';
import { toConversation } from './stored-conversation.ts';

/** A conversation's place in a list, and what was found there. */
interface Listed {
  readonly place: Cursor;
  readonly conversation: Conversation | undefined;
}

/** `ChatStore.listConversations`: the list says where to look, the conversations say what is there. */
export const listConversations = async (
  parts: RedisParts,
  owner: string,
  { cursor, limit }: PageRequest,
): Promise<ConversationPage> => {
  let after = cursor === undefined ? undefined : parseCursor(cursor);
  const found: Listed[] = [];
  for (let isMore = true; isMore && found.length <= limit;) {
    const places = await readPlaces(parts, owner, { after, limit: limit + 1 }); // one more: is there a next page?
    const listed = await loadListed(parts, places);
    await mend(parts, owner, listed);
    found.push(...listed.filter(({ conversation }) => conversation));
    after = places.at(-1);
    isMore = places.length > limit;
  }
  const page = found.slice(0, limit);
  const last = found.length > limit ? page.at(-1) : undefined;
  return {
    conversations: page.flatMap(({ conversation }) => conversation ?? []),
    ...(last && { nextCursor: encodeCursor(last.place) }),
  };
};

/** In a Cluster: the conversation is used now. The list may lag: what fails here is mended by the next use. */
export const touchList = async (
  { connection, retention }: RedisParts,
  list: string,
  place: ConversationPlace,
): Promise<void> => {
  if (!connection.isCluster) return;
  await connection.run(scripts.touchList, [list], [retention.conversationMs, place.name]).catch(() => undefined);
};

const readPlaces = async (
  { connection }: RedisParts,
  owner: string,
  { after, limit }: { readonly after: Cursor | undefined; readonly limit: number },
): Promise<readonly Cursor[]> => {
  const values = [after?.updatedAt ?? 0, after?.id ?? '', limit];
  const flat = asTexts(await connection.run(scripts.readList, [toCallerKeys(owner).conversations], values));
  return flat.flatMap((id, index) => (index % 2 === 0 ? [{ id, updatedAt: Number(flat[index + 1]) }] : []));
};

const loadListed = async ({ connection }: RedisParts, places: readonly Cursor[]): Promise<readonly Listed[]> => {
  const items = places.map(({ id }) => ({ keys: toLoadKeys(toNamedPlace(id)), values: [] }));
  const replies = await connection.runEach(scripts.loadConversations, [], items);
  return places.map((place, index) => {
    const reply = asList(replies[index]);
    return { place, conversation: reply.length > 0 ? toConversation(reply) : undefined };
  });
};

/** The keys of `load-conversations.lua`, for one conversation. */
export const toLoadKeys = (place: ConversationPlace): readonly string[] => {
  const { conversation, messages, running } = toConversationKeys(place);
  return [conversation, messages, running];
};

/** What is gone leaves the list, and what was used at another time than it says moves. */
const mend = async ({ connection }: RedisParts, owner: string, listed: readonly Listed[]): Promise<void> => {
  const wrong = listed.filter(({ place, conversation }) => conversation?.updatedAt !== place.updatedAt);
  if (wrong.length === 0) return;
  const values = wrong.flatMap(({ place, conversation }) => [place.id, conversation?.updatedAt ?? '']);
  await connection.run(scripts.mendList, [toCallerKeys(owner).conversations], values).catch(() => undefined);
};
