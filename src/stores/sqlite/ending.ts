import { type AssistantMessage, isSendable } from '../../conversation/message.ts';
import type { LogEntry } from '../../conversation/reply-event.ts';
import { toReplyEnd, toTranscript } from '../../conversation/transcript.ts';
import type { AppendAnswer, CloseAnswer, Closing, Finish, SealAnswer } from '../chat-store.ts';
import { toPlaceRefusal, toWriteRefusal } from './append.ts';
import { type ReplyRow, toReplyBody } from './reply-table.ts';
import type { StoreParts } from './tables.ts';

/** `ChatStore.finish`, inside a transaction. */
export const finishReply = (parts: StoreParts, finish: Finish): AppendAnswer => {
  const reply = parts.tables.replies.find(finish.messageId);
  const refusal = toWriteRefusal(reply, finish) ?? toPlaceRefusal(reply, finish);
  if (!reply || refusal) return refusal ?? { type: 'gone' };
  parts.tables.log.insert(reply.id, finish.seq, finish.events);
  endReply(parts, reply, { message: finish.message, seq: reply.seq + finish.events.length });
  return { type: 'ok' };
};

/** `ChatStore.cancel`, inside a transaction. */
export const cancelReply = (parts: StoreParts, closing: Closing): CloseAnswer => {
  const reply = parts.tables.replies.find(closing.messageId);
  if (!reply) return { type: 'gone' };
  if (reply.state !== 'running') return { type: 'closed', state: reply.state };
  return { type: 'ok', entry: closeReply(parts, reply, closing) };
};

/** `ChatStore.seal`, inside a transaction. */
export const sealReply = (parts: StoreParts, closing: Closing): SealAnswer => {
  const reply = parts.tables.replies.find(closing.messageId);
  return reply?.state === 'running' && !isAbandoned(parts, reply) ? { type: 'live' } : cancelReply(parts, closing);
};

/** One process has the data folder: a reply of any other instance has lost its writer. */
const isAbandoned = ({ clock, instance }: StoreParts, reply: ReplyRow): boolean =>
  reply.leaseUntil <= clock.elapsed() || reply.instance !== instance;

/** Ends a reply without its writer: what it says is what its log says. */
const closeReply = (parts: StoreParts, reply: ReplyRow, { messageId, outcome, endedAt }: Closing): LogEntry => {
  const { content, thinking } = toTranscript(parts.tables.log.read(reply.id, 0, -1));
  const seq = reply.seq + 1;
  const event = toReplyEnd(content, outcome, endedAt);
  const { requestId, model, continues, variantOf, metadata } = toReplyBody(reply);
  const message: AssistantMessage = {
    role: 'assistant',
    id: continues?.messageId ?? messageId,
    content,
    createdAt: endedAt,
    ...(thinking && { thinking }),
    requestId,
    model,
    seq,
    outcome,
    ...(variantOf !== undefined && { variantOf }),
    ...(metadata && { metadata }),
  };
  parts.tables.log.insert(reply.id, seq, [event]);
  endReply(parts, reply, { message, seq });
  return { seq, event };
};

interface ReplyEnd {
  readonly message: AssistantMessage;
  readonly seq: number;
}

/** The one way into a terminal state: the message, the reply and its conversation change together. */
const endReply = (parts: StoreParts, reply: ReplyRow, end: ReplyEnd): void => {
  const { tables, clock, retention } = parts;
  const { content, model, outcome } = end.message;
  const now = clock.now();
  const { continues } = toReplyBody(reply);
  const answeredBy = content ? model : undefined;
  const count = tables.conversations.endTurn(reply.conversation, { answers: !continues, answeredBy, now });
  if (!continues) addAnswer(parts, reply, { position: count, message: end.message });
  else if (content) tables.messages.rewrite(reply.conversation, continues.position, end.message);
  tables.replies.end({
    id: reply.id,
    state: outcome.state,
    seq: end.seq,
    answerPosition: continues?.position ?? count,
    logUntil: now + retention.logMs,
  });
};

/** The answer is sent later together with its question, or neither is. */
const addAnswer = (
  parts: StoreParts,
  reply: ReplyRow,
  { position, message }: { readonly position: number; readonly message: AssistantMessage },
): void => {
  const { messages } = parts.tables;
  const { conversation, questionPosition } = reply;
  const sendable = isSendable(message.content, message.outcome);
  messages.insert({ conversation, position, sendable, message });
  if (sendable) replaceThread(parts, reply, position);
  else messages.hide(conversation, questionPosition);
};

/** What the reply takes the place of is kept, and not sent any more. */
const replaceThread = ({ tables }: StoreParts, reply: ReplyRow, answer: number): void => {
  const { replaces } = toReplyBody(reply);
  if (!replaces) return;
  const { conversation, questionPosition } = reply;
  const { from, window, cut } = replaces;
  const own = questionPosition === 0 ? [answer] : [questionPosition, answer];
  tables.messages.showOnly(conversation, cut.position, [...window, ...own]);
  tables.threads.replace({ conversation, from, last: Math.min(...own) - 1, cut });
};
