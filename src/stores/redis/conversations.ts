import type { Message, StoredMessage } from '../../conversation/message.ts';
import type {
  Conversation,
  ConversationKey,
  ConversationPatch,
  KnownRequest,
  MessageRange,
  NewConversation,
  Opened,
  PositionRange,
  Summary,
} from '../chat-store.ts';
import { fromStoredText, toStoredText } from '../stored-text.ts';
import { toFirstVersion } from '../versions.ts';
import { asList, asNumber, asText, asTexts } from './answers.ts';
import { toLoadKeys, touchList } from './conversation-list.ts';
import { type ConversationPlace, toCallerKeys, toConversationPlace, toMessageIdPrefix } from './keys.ts';
import { type RedisParts, toHeader, toScriptKeys } from './redis-parts.ts';
import type { Script } from './scripts.ts';
import * as scripts from './scripts.ts';
import { fromReplaced, toConversation, toSettingFields } from './stored-conversation.ts';

type Value = string | number;

/** `ChatStore.createConversation`. */
export const createConversation = async (
  parts: RedisParts,
  conversation: NewConversation,
): Promise<{ readonly type: 'created'; readonly conversation: Conversation } | { readonly type: 'exists' }> => {
  const { owner, conversationId } = conversation;
  const list = toCallerKeys(owner).conversations;
  const [type, created] = await run(parts, scripts.createConversation, conversation, [
    toStoredText(owner),
    toStoredText(conversationId),
    list,
    toFirstVersion(parts.ids),
    ...toSettingFields(conversation),
  ]);
  if (type !== 'created') return { type: 'exists' };
  await touchList(parts, list, toConversationPlace(conversation));
  return { type, conversation: toConversation(created) };
};

/** `ChatStore.loadConversation`. */
export const loadConversation = async (
  { connection }: RedisParts,
  key: ConversationKey,
): Promise<Conversation | undefined> => {
  const answer = await connection.run(scripts.loadConversations, toLoadKeys(toConversationPlace(key)), []);
  const conversation = asList(asList(answer)[0]);
  return conversation.length > 0 ? toConversation(conversation) : undefined;
};

/** `ChatStore.updateConversation`. */
export const updateConversation = async (
  parts: RedisParts,
  key: ConversationKey,
  patch: ConversationPatch,
): Promise<{ readonly type: 'updated'; readonly conversation: Conversation } | { readonly type: 'gone' }> => {
  const [type, updated] = await run(parts, scripts.updateConversation, key, toSettingFields(patch));
  if (type !== 'updated') return { type: 'gone' };
  await touchList(parts, toCallerKeys(key.owner).conversations, toConversationPlace(key));
  return { type, conversation: toConversation(updated) };
};

/** `ChatStore.keepSummary`. */
export const keepSummary = async (
  parts: RedisParts,
  key: ConversationKey,
  { summary, expectedReplaced }: { readonly summary: Summary; readonly expectedReplaced: readonly PositionRange[] },
): Promise<{ readonly type: 'kept' | 'stale' | 'gone' }> => {
  const values = [summary.position, JSON.stringify(summary), fromReplaced(expectedReplaced)];
  const [type] = await run(parts, scripts.keepSummary, key, values);
  return { type: type === 'kept' || type === 'stale' ? type : 'gone' };
};

/** `ChatStore.deleteConversation`. In a Cluster, the owner's list is mended when it is read. */
export const deleteConversation = async (
  parts: RedisParts,
  key: ConversationKey,
): Promise<{ readonly type: 'deleted' | 'gone' }> => {
  const [type] = await run(parts, scripts.deleteConversation, key, []);
  return { type: type === 'deleted' ? type : 'gone' };
};

/** `ChatStore.loadMessages`. */
export const loadMessages = async (
  parts: RedisParts,
  key: ConversationKey,
  { before = Number.MAX_SAFE_INTEGER, limit }: MessageRange,
): Promise<readonly StoredMessage[] | undefined> => {
  const answer = await run(parts, scripts.loadMessages, key, [before, limit]);
  if (answer.length === 0) return undefined;
  const first = asNumber(answer[0]);
  return asTexts(answer[1]).map((json, index) => toStoredMessage(json, first + index));
};

/** `ChatStore.open`. */
export const openConversation = async (parts: RedisParts, key: ConversationKey, requestId: string): Promise<Opened> => {
  const [conversation, request, window] = await run(parts, scripts.openConversation, key, [toStoredText(requestId)]);
  if (conversation === undefined) return { window: [] };
  const known = toKnownRequest(asText(request), toConversationPlace(key));
  return {
    conversation: toConversation(conversation),
    window: asTexts(window).map((entry) => {
      const colon = entry.indexOf(':'); // <position>:<message>
      return toStoredMessage(entry.slice(colon + 1), Number(entry.slice(0, colon)));
    }),
    ...(known && { request: known }),
  };
};

const run = async (
  parts: RedisParts,
  script: Script,
  key: ConversationKey,
  values: readonly Value[],
): Promise<readonly unknown[]> => {
  const place = toConversationPlace(key);
  return asList(await parts.connection.run(script, toScriptKeys(place), [...toHeader(parts, place), ...values]));
};

/** What `begin.lua` has written: when it expires, the reply, and the fingerprint. */
const KNOWN = /^\d+ (\S+) (.*)$/s;

const toKnownRequest = (stored: string, place: ConversationPlace): KnownRequest | undefined => {
  const [, replyId, fingerprint] = KNOWN.exec(stored) ?? [];
  if (replyId === undefined || fingerprint === undefined) return undefined;
  return { messageId: toMessageIdPrefix(place) + replyId, fingerprint: fromStoredText(fingerprint) };
};

const toStoredMessage = (json: string, position: number): StoredMessage => {
  const message: Message = JSON.parse(json);
  return { ...message, position };
};
