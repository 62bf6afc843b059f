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
  reply.leaseUntil <= clock.now() || reply.instance !== instance;

/** Ends a reply without its writer: what it says is what its log says. */
const closeReply = (parts: StoreParts, reply: ReplyRow, { messageId, outcome, endedAt }: Closing): LogEntry => {
  const { content, thinking } = toTranscript(parts.tables.log.read(reply.id, 0, -1));
  const seq = reply.seq + 1;
  const event = toReplyEnd(content, outcome, endedAt);
  const message: AssistantMessage = {
    role: 'assistant',
    id: messageId,
    content,
    createdAt: endedAt,
    ...(thinking && { thinking }),
    ...toReplyBody(reply),
    seq,
    outcome,
  };
  parts.tables.log.insert(reply.id, seq, [event]);
  endReply(parts, reply, { message, seq });
  return { seq, event };
};

/** The one way into a terminal state: the message, the reply and its conversation change together. */
const endReply = (
  { tables, clock, retention }: StoreParts,
  reply: ReplyRow,
  { message, seq }: { readonly message: AssistantMessage; readonly seq: number },
): void => {
  const now = clock.now();
  const { conversation } = reply;
  const sendable = isSendable(message.content, message.outcome);
  const position = tables.conversations.endTurn(conversation, message.content ? message.model : undefined, now);
  tables.messages.insert({ conversation, position, sendable, message });
  if (!sendable) tables.messages.hide(conversation, reply.questionPosition);
  const { state } = message.outcome;
  tables.replies.end({ id: reply.id, state, seq, answerPosition: position, logUntil: now + retention.logMs });
};
