import { isSendable } from '../../conversation/message.ts';
import type { ReplyState } from '../../conversation/reply-event.ts';
import { toReplyEnd } from '../../conversation/transcript.ts';
import type {
  Append,
  AppendAnswer,
  Begin,
  BeginAnswer,
  CloseAnswer,
  Closing,
  Finish,
  Lease,
  RenewAnswer,
  Replacement,
  SealAnswer,
} from '../chat-store.ts';
import { LEASE_MS } from '../chat-store.ts';
import { fromStoredText, toStoredText } from '../stored-text.ts';
import { toFirstVersion } from '../versions.ts';
import { asList, asNumber, asState, asText } from './answers.ts';
import { touchList } from './conversation-list.ts';
import {
  type ReplyPlace,
  toCallerKeys,
  toConversationKeys,
  toConversationPlace,
  toLogKey,
  toMessageIdPrefix,
  toReplyPlace,
} from './keys.ts';
import type { ScriptItem } from './redis-connection.ts';
import { isTooYoung, type RedisParts, toHeader, toScriptKeys } from './redis-parts.ts';
import * as scripts from './scripts.ts';
import { encodeEnding, encodeEvent } from './stored-event.ts';

/** `ChatStore.begin`. */
export const beginReply = async (parts: RedisParts, begin: Begin): Promise<BeginAnswer> => {
  const place = toConversationPlace(begin);
  const reply = toReplyPlace(begin.messageId);
  if (reply?.name !== place.name) throw new TypeError('The id of a reply is not one that the store has made for it.');
  const values = [...toHeader(parts, place), ...toBeginValues(parts, begin, reply)];
  const [type, text = ''] = asList(await parts.connection.run(scripts.beginReply, toScriptKeys(place), values)).map(
    asText,
  );
  switch (type) {
    case 'begun':
      await touchList(parts, toCallerKeys(begin.owner).conversations, place);
      return { type, token: text };
    case 'exists':
    case 'conflict':
    case 'busy':
      return { type, messageId: text };
    default:
      return { type: 'stale' };
  }
};

/** The values of `begin.lua` from the fourth on. */
const toBeginValues = (
  { ids, retention }: RedisParts,
  begin: Begin,
  reply: ReplyPlace,
): readonly (string | number)[] => {
  const { requestId, model, userMessage, systemPrompt, cut } = begin;
  return [
    begin.messageId,
    reply.replyId,
    toStoredText(requestId),
    toStoredText(begin.fingerprint),
    begin.expectedVersion,
    toFirstVersion(ids),
    toStoredText(begin.owner),
    toStoredText(begin.conversationId),
    toCallerKeys(begin.owner).conversations,
    `1.${ids.newId()}`,
    JSON.stringify(begin.instance),
    JSON.stringify(model),
    toMembers(toMessagePart(begin)),
    userMessage ? JSON.stringify(userMessage) : '',
    systemPrompt === undefined ? '' : JSON.stringify(systemPrompt),
    cut.position,
    cut.droppedTurns,
    retention.requestMs,
    LEASE_MS,
    toMessageIdPrefix(reply),
    toMembers(toRecordPart(begin)),
    begin.replaces ? toNumbers(begin.replaces) : '',
    begin.continues ? `${begin.continues.position} ${toReplyId(begin.continues.messageId)}` : '',
  ];
};

/** What the message has of the request, and the record. */
const toMessagePart = ({ requestId, model, variantOf, metadata }: Begin): object => ({
  requestId,
  model,
  ...(variantOf !== undefined && { variantOf }),
  ...(metadata && { metadata }),
});

/** What the record alone has. */
const toRecordPart = ({ promptTokens, continues }: Begin): object => ({
  promptTokens,
  ...(continues && { continues: continues.messageId }),
});

/** JSON that goes into larger objects. */
const toMembers = (object: object): string => JSON.stringify(object).slice(1, -1);

/** As `end-turn.lua` reads it. */
const toNumbers = ({ from, cut, window }: Replacement): string =>
  [from, cut.position, cut.droppedTurns, ...window].join(' ');

const toReplyId = (messageId: string): string => {
  const place = toReplyPlace(messageId);
  if (place) return place.replyId;
  throw new TypeError('The id of a reply is not one that the store has made.');
};

/** `ChatStore.append`. */
export const appendEvents = async (parts: RedisParts, appends: readonly Append[]): Promise<readonly AppendAnswer[]> => {
  const answers = await runForEach(parts, scripts.appendEvents, appends, (append, place) => {
    const { running, replies, leases, logs } = toConversationKeys(place);
    const { messageId, token, seq, events } = append;
    return {
      keys: [running, logs + place.replyId, replies, leases],
      values: [messageId, place.replyId, token, seq, events.length, ...events.map(encodeEvent)],
    };
  });
  return answers.map(toAppendAnswer);
};

/** `ChatStore.renew`. */
export const renewLeases = async (parts: RedisParts, held: readonly Lease[]): Promise<readonly RenewAnswer[]> => {
  const answers = await runForEach(parts, scripts.renewLeases, held, ({ messageId, token }, place) => {
    const { running, replies, leases } = toConversationKeys(place);
    return { keys: [running, replies, leases], values: [messageId, place.replyId, token] };
  });
  return answers.map(toRenewAnswer);
};

/** The answers for each, in order; what has no id of this store is gone. */
const runForEach = async <Item extends Lease>(
  { connection }: RedisParts,
  script: scripts.Script,
  items: readonly Item[],
  toItem: (item: Item, place: ReplyPlace) => ScriptItem,
): Promise<readonly unknown[]> => {
  const places = items.map(({ messageId }) => toReplyPlace(messageId));
  const known = items.flatMap((item, index) => (places[index] ? [toItem(item, places[index])] : []));
  const answers = (await connection.runEach(script, [LEASE_MS], known)).values();
  return places.map((place) => (place ? answers.next().value : ['gone']));
};

/** `ChatStore.finish`. */
export const finishReply = async (parts: RedisParts, finish: Finish): Promise<AppendAnswer> => {
  const place = toReplyPlace(finish.messageId);
  if (!place) return { type: 'gone' };
  const { message } = finish;
  const values = [
    ...toHeader(parts, place),
    finish.messageId,
    place.replyId,
    finish.token,
    parts.retention.logMs,
    finish.seq,
    message.outcome.state,
    message.content === '' ? '' : JSON.stringify(message.model),
    Number(isSendable(message.content, message.outcome)),
    JSON.stringify(message),
    ...encodeEnding(finish),
  ];
  const answer = asList(await parts.connection.run(scripts.finishReply, toScriptKeys(place, toLogKey(place)), values));
  if (answer[0] === 'ok') await touchList(parts, asText(answer[1]), place);
  return toAppendAnswer(answer);
};

/** `ChatStore.cancel`. */
export const cancelReply = async (parts: RedisParts, closing: Closing): Promise<CloseAnswer> => {
  const answer = await closeReply(parts, closing, 'cancel');
  return answer.type === 'live' ? { type: 'gone' } : answer;
};

/** `ChatStore.seal`. */
export const sealReply = async (parts: RedisParts, closing: Closing): Promise<SealAnswer> =>
  closeReply(parts, closing, isTooYoung(parts) ? 'look' : 'seal');

/** Ends a reply; `seal` only where its lease has expired, and `look` never. */
const closeReply = async (
  parts: RedisParts,
  closing: Closing,
  how: 'cancel' | 'seal' | 'look',
): Promise<SealAnswer> => {
  const { messageId, outcome, endedAt } = closing;
  const place = toReplyPlace(messageId);
  if (!place) return { type: 'gone' };
  const values = [
    ...toHeader(parts, place),
    messageId,
    place.replyId,
    how,
    parts.retention.logMs,
    outcome.state,
    JSON.stringify(outcome),
    endedAt,
  ];
  const answer = asList(await parts.connection.run(scripts.closeReply, toScriptKeys(place, toLogKey(place)), values));
  if (answer[0] === 'live') return { type: 'live' };
  if (answer[0] !== 'ok') return answer[0] === 'closed' ? toClosed(answer) : { type: 'gone' };
  await touchList(parts, asText(answer[1]), place);
  const event = toReplyEnd(fromStoredText(asText(answer[3])), outcome, endedAt);
  return { type: 'ok', entry: { seq: asNumber(answer[2]), event } };
};

const toAppendAnswer = (answer: unknown): AppendAnswer => {
  const [type, detail] = asList(answer);
  if (type === 'duplicate') return { type };
  return type === 'gap' ? { type, have: asNumber(detail) } : toRenewAnswer(answer);
};

const toRenewAnswer = (answer: unknown): RenewAnswer => {
  const [type] = asList(answer);
  if (type === 'ok' || type === 'fenced') return { type };
  return type === 'closed' ? toClosed(answer) : { type: 'gone' };
};

const toClosed = (answer: unknown): { readonly type: 'closed'; readonly state: ReplyState } => ({
  type: 'closed',
  state: asState(asList(answer)[1]),
});
