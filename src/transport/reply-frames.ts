import type { Channel, LogEntry } from '../conversation/reply-event.ts';
import { toReplyResult, toUnstoredFailure, type Accepted, type Failure, type Reply } from '../chat/results.ts';
import type { LLMErrorData } from '../protocol/errors.ts';
import type { StreamMode, Timings, Usage } from '../protocol/fields.ts';
import type { LLMAccepted, LLMResponse, LLMStatus, ServerFrame } from '../protocol/server-events.ts';
import type { Position, ReplyUpdate } from '../replies/reply-update.ts';
import type { ReplyStatus } from '../replies/reply-status.ts';
import type { ReplyRecord } from '../stores/chat-store.ts';
import type * as Internal from '../conversation/reply-event.ts';

/** A frame as it goes out: its data is JSON already, so that many watchers share the work. */
export interface EncodedFrame {
  readonly event: ServerFrame['event'];
  readonly data: string;
  /** There for the numbered events. */
  readonly seq?: number;
  /** Nothing but a `released` status follows it. */
  readonly isTerminal: boolean;
}

export const toUsage = ({ promptTokens, completionTokens, source }: Internal.Usage): Usage => ({
  prompt_tokens: promptTokens,
  completion_tokens: completionTokens,
  total_tokens: promptTokens + completionTokens,
  source,
});

export const toTimings = ({ queuedMs, loadMs, firstTokenMs, totalMs }: Internal.Timings): Timings => ({
  queued_ms: queuedMs,
  load_ms: loadMs,
  ...(firstTokenMs !== undefined && { first_token_ms: firstTokenMs }),
  total_ms: totalMs,
});

/** On the wire only where it says something. */
export const toContinues = ({ continues }: { readonly continues?: string }): { continues?: string } =>
  continues === undefined ? {} : { continues };

export const toErrorData = (failure: Failure): LLMErrorData => ({
  success: false,
  error: failure.error,
  code: failure.code,
  retryable: failure.retryable,
  ...(failure.retryAfterMs !== undefined && { retry_after_ms: failure.retryAfterMs }),
  ...(failure.limit !== undefined && { limit: failure.limit }),
  ...(failure.remaining !== undefined && { remaining: failure.remaining }),
  ...(failure.conversationId !== undefined && { conversation_id: failure.conversationId }),
  ...(failure.messageId !== undefined && { message_id: failure.messageId }),
  ...(failure.activeMessageId !== undefined && { active_message_id: failure.activeMessageId }),
  ...(failure.requestId !== undefined && { request_id: failure.requestId }),
  ...toContinues(failure),
  timestamp: failure.timestamp,
  ...(failure.response !== undefined && { response: failure.response }),
  ...(failure.usage && { usage: toUsage(failure.usage) }),
  ...(failure.seq !== undefined && { seq: failure.seq }),
});

export const toResponseData = (reply: Reply): LLMResponse => ({
  success: true,
  conversation_id: reply.conversationId,
  message_id: reply.messageId,
  request_id: reply.requestId,
  ...toContinues(reply),
  seq: reply.seq,
  response: reply.response,
  finish_reason: reply.finishReason,
  model: reply.model,
  usage: toUsage(reply.usage),
  timings: toTimings(reply.timings),
  length: reply.length,
  digest: reply.digest,
  created_at: reply.createdAt,
  ...(reply.metadata && { metadata: { ...reply.metadata } }),
});

export const toAcceptedData = ({ reply, duplicate }: Accepted): LLMAccepted => ({
  conversation_id: reply.conversationId,
  message_id: reply.messageId,
  request_id: reply.requestId,
  ...toContinues(reply),
  duplicate,
});

const toStatusData = (messageId: string, status: ReplyStatus): LLMStatus => {
  const common = { message_id: messageId };
  switch (status.state) {
    case 'model_loading':
      return {
        ...common,
        state: status.state,
        elapsed_ms: status.elapsedMs,
        ...(status.completedBytes !== undefined && { completed_bytes: status.completedBytes }),
        ...(status.totalBytes !== undefined && { total_bytes: status.totalBytes }),
      };
    case 'queued': {
      const expected = status.expectedMs === undefined ? {} : { expected_ms: status.expectedMs };
      return { ...common, state: status.state, position: status.position, ...expected };
    }
    case 'retrying':
      return { ...common, state: status.state, attempt: status.attempt };
    case 'released':
      return { ...common, state: status.state, stopped_ms: status.stoppedMs };
    default:
      return { ...common, state: status.state };
  }
};

/** A log entry as the wire's event. */
export const toEventFrame = (reply: ReplyRecord, { seq, event }: LogEntry): ServerFrame => {
  const common = { message_id: reply.messageId, seq };
  switch (event.type) {
    case 'text-delta':
      return { event: 'llm_delta', data: { ...common, at: event.at, text: event.text, channel: event.channel } };
    case 'context':
      return {
        event: 'llm_context',
        data: {
          ...common,
          dropped_turns: event.droppedTurns,
          kept_turns: event.keptTurns,
          estimated_tokens: event.estimatedTokens,
          context_window: event.contextWindow,
        },
      };
    case 'end': {
      const result = toReplyResult(reply, seq, event);
      return result.success
        ? { event: 'llm_response', data: toResponseData(result) }
        : { event: 'llm_error', data: toErrorData(result) };
    }
  }
};

export const encodeFrame = ({ event, data }: ServerFrame): EncodedFrame => ({
  event,
  data: JSON.stringify(data) ?? 'null',
  isTerminal: false,
});

// Entries live in the memory of the reply that is watched: all its watchers get the same string.
const encodedEntries = new WeakMap<LogEntry, EncodedFrame>();

const encodeEntry = (reply: ReplyRecord, entry: LogEntry): EncodedFrame => {
  const known = encodedEntries.get(entry);
  if (known) return known;
  const { event, data } = toEventFrame(reply, entry);
  const frame = { event, data: JSON.stringify(data), seq: entry.seq, isTerminal: entry.event.type === 'end' };
  encodedEntries.set(entry, frame);
  return frame;
};

/** No text has this length: the texts are given anew. */
const NOWHERE = -1;

/** From what a watcher is told to the frames of its wire, in the mode that it wants. */
export class ReplyFrames {
  /** From where the reply is to be watched. */
  readonly from: Position;
  readonly #reply: ReplyRecord;
  readonly #mode: StreamMode;
  readonly #now: () => number;
  readonly #texts: Record<Channel, string> = { content: '', thinking: '' };

  /** `position` is what the watcher has. */
  constructor({ reply, mode, position, now }: ReplyFramesInput) {
    this.#reply = reply;
    this.#mode = mode;
    this.#now = now;
    // Whole texts need their beginning, whatever the watcher has seen.
    this.from = mode === 'cumulative' && position.seq > 0 ? { seq: position.seq, at: NOWHERE } : position;
  }

  /** One frame at a time: whole texts, many of them, would not fit into memory together. */
  *encode(update: ReplyUpdate): Generator<EncodedFrame, void> {
    switch (update.type) {
      case 'entries':
        for (const entry of update.entries) yield* this.#encodeEntry(entry);
        return;
      case 'status':
        return yield encodeFrame({ event: 'llm_status', data: toStatusData(this.#reply.messageId, update.status) });
      case 'rewind':
        this.#texts[update.channel] = update.text;
        if (this.#mode !== 'none') yield { ...encodeFrame(this.#toRewind(update)), seq: update.seq };
        return;
      case 'unstored-end': {
        const failure = toUnstoredFailure(this.#reply, update.failure, this.#now());
        return yield encodeFrame({ event: 'llm_error', data: toErrorData(failure) });
      }
    }
  }

  *#encodeEntry(entry: LogEntry): Generator<EncodedFrame, void> {
    const { seq, event } = entry;
    if (event.type !== 'text-delta' || this.#mode === 'delta') return yield encodeEntry(this.#reply, entry);
    if (this.#mode === 'none') return;
    const { channel, text, at } = event;
    this.#texts[channel] += text;
    const data = { message_id: this.#reply.messageId, seq, at, text, channel, response: this.#texts[channel] };
    yield { ...encodeFrame({ event: 'llm_delta', data }), seq };
  }

  #toRewind({ seq, channel, text }: Extract<ReplyUpdate, { type: 'rewind' }>): ServerFrame {
    const data = { message_id: this.#reply.messageId, seq, to_at: 0, channel, reason: 'resync', text } as const;
    return { event: 'llm_rewind', data };
  }
}

interface ReplyFramesInput {
  readonly reply: ReplyRecord;
  readonly mode: StreamMode;
  readonly position: Position;
  readonly now: () => number;
}
