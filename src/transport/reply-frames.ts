import type { Channel, LogEntry } from '../conversation/reply-event.ts';
import { toReplyResult, toUnstoredFailure, type Accepted, type Failure, type Reply } from '../chat/results.ts';
import type { LLMErrorData } from '../protocol/errors.ts';
import type { StreamMode, Timings, Usage } from '../protocol/fields.ts';
import type { LLMAccepted, LLMResponse, LLMStatus, ServerFrame } from '../protocol/server-events.ts';
import type { ReplyUpdate } from '../replies/reply-reader.ts';
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

export const toErrorData = (failure: Failure): LLMErrorData => ({
  success: false,
  error: failure.error,
  code: failure.code,
  retryable: failure.retryable,
  ...(failure.retryAfterMs !== undefined && { retry_after_ms: failure.retryAfterMs }),
  ...(failure.conversationId !== undefined && { conversation_id: failure.conversationId }),
  ...(failure.messageId !== undefined && { message_id: failure.messageId }),
  ...(failure.activeMessageId !== undefined && { active_message_id: failure.activeMessageId }),
  ...(failure.requestId !== undefined && { request_id: failure.requestId }),
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
  duplicate,
});

const toStatusData = (messageId: string, status: ReplyStatus): LLMStatus => {
  const common = { message_id: messageId };
  switch (status.state) {
    case 'model_loading':
      return { ...common, state: status.state, elapsed_ms: status.elapsedMs };
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

/** From what a watcher is told to the frames of its wire, in the mode that it wants. */
export class ReplyFrames {
  readonly #reply: ReplyRecord;
  readonly #mode: StreamMode;
  readonly #after: number;
  readonly #now: () => number;
  readonly #texts: Record<Channel, string> = { content: '', thinking: '' };

  /** `after` is the last event that the watcher has. */
  constructor(reply: ReplyRecord, mode: StreamMode, after: number, now: () => number) {
    this.#reply = reply;
    this.#mode = mode;
    this.#after = after;
    this.#now = now;
  }

  /** Whole texts need the log from its beginning, whatever the watcher has seen. */
  static watchesFromStart(mode: StreamMode): boolean {
    return mode === 'cumulative';
  }

  encode(update: ReplyUpdate): readonly EncodedFrame[] {
    switch (update.type) {
      case 'entries':
        return update.entries.flatMap((entry) => this.#encodeEntry(entry));
      case 'status':
        return [encodeFrame({ event: 'llm_status', data: toStatusData(this.#reply.messageId, update.status) })];
      case 'rewind':
        return this.#mode === 'none' ? [] : [{ ...encodeFrame(this.#toRewind(update)), seq: update.seq }];
      case 'unstored-end': {
        const failure = toUnstoredFailure(this.#reply, update.failure, this.#now());
        return [encodeFrame({ event: 'llm_error', data: toErrorData(failure) })];
      }
    }
  }

  #encodeEntry(entry: LogEntry): readonly EncodedFrame[] {
    if (entry.event.type !== 'text-delta') return this.#isNew(entry) ? [encodeEntry(this.#reply, entry)] : [];
    if (this.#mode === 'none') return [];
    if (this.#mode === 'delta') return [encodeEntry(this.#reply, entry)];
    const { channel, text, at } = entry.event;
    this.#texts[channel] += text;
    if (!this.#isNew(entry)) return [];
    const data = {
      message_id: this.#reply.messageId,
      seq: entry.seq,
      at,
      text,
      channel,
      response: this.#texts[channel],
    };
    return [{ ...encodeFrame({ event: 'llm_delta', data }), seq: entry.seq }];
  }

  /** A terminal event is told again to who asks again. */
  #isNew({ seq, event }: LogEntry): boolean {
    return seq > this.#after || event.type === 'end';
  }

  #toRewind({ seq, channel, text }: Extract<ReplyUpdate, { type: 'rewind' }>): ServerFrame {
    const data = { message_id: this.#reply.messageId, seq, to_at: 0, channel, reason: 'resync', text } as const;
    return { event: 'llm_rewind', data };
  }
}
