import { toTimestamp } from '../clock.ts';
import { isRetryable, RateLimitedError, toDefaultWaitMs, type ErrorCode, type LLMError } from '../errors.ts';
import { findInForce } from '../conversation/short-history.ts';
import type { Metadata } from '../conversation/message.ts';
import type { FinishReason, ReplyEnd, ReplyFailure, Timings, Usage } from '../conversation/reply-event.ts';
import type { ReplyTexts } from '../replies/reply-reader.ts';
import type { ReplyUpdate } from '../replies/reply-update.ts';
import type { Conversation, ReplyRecord } from '../stores/chat-store.ts';

/** Every answer says first whether it worked. */
export type Result<T extends object> = ({ readonly success: true } & T) | Failure;

/** What went wrong, for people and for programs. */
export interface Failure {
  readonly success: false;
  /** A sentence for people that says what to do. */
  readonly error: string;
  readonly code: ErrorCode;
  /** Whether the same request may succeed when it is sent again. */
  readonly retryable: boolean;
  readonly retryAfterMs?: number;
  /** Of what is limited: how many there are. */
  readonly limit?: number;
  /** Of what is limited: how many are left. */
  readonly remaining?: number;
  /** Of what is limited over a time: how long that is; absent of what is limited at once. */
  readonly windowMs?: number;
  readonly conversationId?: string;
  readonly messageId?: string;
  readonly requestId?: string;
  /** The reply that keeps the conversation busy. */
  readonly activeMessageId?: string;
  /** RFC 3339, UTC. */
  readonly timestamp: string;
  /** The reply that the one which failed has gone on with. */
  readonly continues?: string;
  /** There when the failure is the reply's stored end: its number in the log. */
  readonly seq?: number;
  /** The partial text, kept. */
  readonly response?: string;
  readonly usage?: Usage;
}

/** A whole reply. */
export interface Reply {
  readonly response: string;
  readonly conversationId: string;
  readonly messageId: string;
  readonly requestId: string;
  /** The reply that it goes on with. */
  readonly continues?: string;
  readonly seq: number;
  readonly finishReason: FinishReason;
  readonly model: string;
  readonly usage: Usage;
  readonly timings: Timings;
  /** Of `response`, in UTF-16 units. */
  readonly length: number;
  /** CRC-32 of `response` in UTF-8, 8 hex digits. */
  readonly digest: string;
  /** RFC 3339, UTC: when the reply ended. */
  readonly createdAt: string;
  readonly metadata?: Metadata;
}

/** A reply that was begun, by this request or by the same one before. */
export interface Accepted {
  readonly reply: ReplyRecord;
  readonly duplicate: boolean;
}

/** A reply by its id, or by the request that began it. */
export type ReplyReference =
  | { readonly messageId: string }
  | { readonly conversationId: string; readonly requestId: string };

export interface CancelResult {
  readonly messageId: string;
  readonly conversationId: string;
  readonly state: ReplyRecord['state'];
}

/** What `streamResponse` and `resume` tell, in order: `accepted` or `refused` first, then what happens. */
export type ChatUpdate =
  | ({ readonly type: 'accepted' } & Accepted)
  | { readonly type: 'refused'; readonly failure: Failure }
  | ReplyUpdate;

/** A conversation as its owner sees it. */
export interface ConversationView {
  readonly conversationId: string;
  readonly title?: string;
  readonly systemPrompt?: string;
  readonly metadata?: Metadata;
  readonly model?: string;
  /** RFC 3339, UTC. */
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly messageCount: number;
  /** The reply that runs, by its `messageId`. */
  readonly activeReply?: string;
  /** What the model is told of the turns that it is not sent any more. */
  readonly summary?: SummaryView;
}

export interface SummaryView {
  readonly text: string;
  /** Of the last message that it sums up. */
  readonly position: number;
  /** Which model has made it. */
  readonly model: string;
  /** RFC 3339, UTC. */
  readonly createdAt: string;
}

export const toConversationView = (conversation: Conversation): ConversationView => {
  const { conversationId, title, systemPrompt, metadata, model, createdAt, updatedAt, messageCount, activeReply } =
    conversation;
  const summary = findInForce(conversation.summaries, conversation.cut.position);
  return {
    conversationId,
    ...(title !== undefined && { title }),
    ...(systemPrompt !== undefined && { systemPrompt }),
    ...(metadata !== undefined && { metadata }),
    ...(model !== undefined && { model }),
    createdAt: toTimestamp(createdAt),
    updatedAt: toTimestamp(updatedAt),
    messageCount,
    ...(activeReply !== undefined && { activeReply }),
    ...(summary && { summary: { ...summary, createdAt: toTimestamp(summary.createdAt) } }),
  };
};

/** A reply while it runs, or after. */
export interface ReplyView {
  readonly record: ReplyRecord;
  readonly texts: ReplyTexts;
}

type FailureContext = Pick<Failure, 'conversationId' | 'messageId' | 'requestId'>;

/** What is worth a wait says for how long, also where nobody knows. */
const toWait = (code: ErrorCode, known = toDefaultWaitMs(code)): Pick<Failure, 'retryAfterMs'> =>
  known === undefined ? {} : { retryAfterMs: known };

const toLimit = ({ limit, remaining, windowMs }: RateLimitedError): Partial<Failure> => ({
  limit,
  remaining,
  ...(windowMs !== undefined && { windowMs }),
});

/** An error as an answer. */
export const toFailure = (error: LLMError, now: number, context: FailureContext = {}): Failure => ({
  success: false,
  error: error.message,
  code: error.code,
  retryable: error.retryable,
  ...toWait(error.code, error.retryAfterMs),
  ...(error instanceof RateLimitedError && toLimit(error)),
  ...(error.activeMessageId !== undefined && { activeMessageId: error.activeMessageId }),
  ...context,
  timestamp: toTimestamp(now),
});

const toContext = ({
  conversationId,
  messageId,
  requestId,
  continues,
}: ReplyRecord): Required<FailureContext> & Pick<Reply, 'continues'> => ({
  conversationId,
  messageId,
  requestId,
  ...(continues !== undefined && { continues }),
});

/** A failure that could not be stored as the reply's end. */
export const toUnstoredFailure = (reply: ReplyRecord, failure: ReplyFailure, now: number): Failure => ({
  success: false,
  error: failure.message,
  code: failure.code,
  retryable: isRetryable(failure.code),
  ...toWait(failure.code, failure.retryAfterMs),
  ...toContext(reply),
  timestamp: toTimestamp(now),
});

/** A reply's terminal event as an answer. */
export const toReplyResult = (reply: ReplyRecord, seq: number, end: ReplyEnd): Result<Reply> => {
  if (end.failure) {
    return {
      ...toUnstoredFailure(reply, end.failure, end.endedAt),
      seq,
      ...(end.text && { response: end.text }),
      usage: end.usage,
    };
  }
  return {
    success: true,
    response: end.text,
    ...toContext(reply),
    seq,
    finishReason: end.finishReason ?? 'stop',
    model: reply.model,
    usage: end.usage,
    timings: end.timings,
    length: end.length,
    digest: end.digest,
    createdAt: toTimestamp(end.endedAt),
    ...(reply.metadata && { metadata: reply.metadata }),
  };
};
