import type { AssistantMessage } from '../../conversation/message.ts';
import type { LogEntry } from '../../conversation/reply-event.ts';
import type { ReplyRecord } from '../chat-store.ts';
import { fromStoredText } from '../stored-text.ts';
import { asList, asNumber, asState, asText, asTexts } from './answers.ts';
import { LEASES_KEYS, toLogKey, toReplyPlace } from './keys.ts';
import { isTooYoung, type RedisParts, toHeader, toScriptKeys } from './redis-parts.ts';
import type { Script } from './scripts.ts';
import * as scripts from './scripts.ts';
import { decodeEvent } from './stored-event.ts';

/** `ChatStore.loadReply`. */
export const loadReply = async (parts: RedisParts, messageId: string): Promise<ReplyRecord | undefined> => {
  const reply = asList((await ask(parts, scripts.loadReply, messageId)) ?? []);
  if (reply.length === 0) return undefined;
  const [owner = '', conversationId = ''] = asTexts(reply[1]).map(fromStoredText);
  return { owner, conversationId, messageId, ...(reply[0] === 'running' ? toRunning(reply) : toEnded(reply)) };
};

type OwnPart = Omit<ReplyRecord, 'owner' | 'conversationId' | 'messageId'>;

/** What is kept of a reply as JSON. */
type ReplyBody = Omit<OwnPart, 'state' | 'seq' | 'createdAt'>;

const toRunning = ([, , seq, createdAt, body]: readonly unknown[]): OwnPart => ({
  state: 'running',
  seq: asNumber(seq),
  createdAt: asNumber(createdAt),
  ...parseBody(asText(body)),
});

/** The columns that `end-turn.lua` has written: state, token, position, seq, time, and the body as JSON. */
const ENDED = /^(\S+) \S+ \d+ (\d+) (\d+) (.*)$/s;

const toEnded = ([, , record]: readonly unknown[]): OwnPart => {
  const [, state, seq, createdAt, body = ''] = ENDED.exec(asText(record)) ?? [];
  return { state: asState(state), seq: asNumber(seq), createdAt: asNumber(createdAt), ...parseBody(body) };
};

/** An older build has written no `promptTokens`. */
const parseBody = (json: string): ReplyBody => ({ promptTokens: 0, ...JSON.parse(json) });

/** `ChatStore.loadReplyMessage`. */
export const loadReplyMessage = async (parts: RedisParts, messageId: string): Promise<AssistantMessage | undefined> => {
  const message = await ask(parts, scripts.loadReplyMessage, messageId);
  return message ? JSON.parse(asText(message)) : undefined;
};

export interface LogRange {
  readonly messageId: string;
  readonly after: number;
  readonly limit: number;
}

/** `ChatStore.readLog`. */
export const readLog = async (
  parts: RedisParts,
  { messageId, after, limit }: LogRange,
): Promise<readonly LogEntry[]> => {
  const [entries, message] = asList((await ask(parts, scripts.readLog, messageId, after, limit)) ?? [[], '']);
  return asTexts(entries).map((entry, index) => ({
    seq: after + 1 + index,
    event: decodeEvent(entry, asText(message)),
  }));
};

/** `ChatStore.findAbandoned`: the indexes say where to look, the replies say what is so. */
export const findAbandoned = async (parts: RedisParts, limit: number): Promise<readonly ReplyRecord[]> => {
  if (isTooYoung(parts)) return [];
  const found = (await Promise.all(toIndexGroups(parts).map((keys) => findExpired(parts, keys, limit)))).flat();
  const abandoned = await Promise.all(found.slice(0, limit).map((messageId) => loadAbandoned(parts, messageId)));
  // A Cluster's nodes are met here for the first time, or again.
  return isTooYoung(parts) ? [] : abandoned.flatMap((reply) => reply ?? []);
};

const toIndexGroups = ({ connection }: RedisParts): readonly (readonly string[])[] =>
  connection.isCluster ? LEASES_KEYS.map((key) => [key]) : [LEASES_KEYS];

const findExpired = async (
  { connection }: RedisParts,
  keys: readonly string[],
  limit: number,
): Promise<readonly string[]> => asTexts(await connection.run(scripts.findExpiredLeases, keys, [limit]));

const loadAbandoned = async (parts: RedisParts, messageId: string): Promise<ReplyRecord | undefined> =>
  (await ask(parts, scripts.checkLease, messageId)) === 1 ? loadReply(parts, messageId) : undefined;

/** Runs a script about one reply; undefined where its id is none of this store's. */
const ask = async (
  parts: RedisParts,
  script: Script,
  messageId: string,
  ...values: readonly (string | number)[]
): Promise<unknown> => {
  const place = toReplyPlace(messageId);
  if (!place) return undefined;
  const header = [...toHeader(parts, place), messageId, place.replyId];
  return parts.connection.run(script, toScriptKeys(place, toLogKey(place)), [...header, ...values]);
};
