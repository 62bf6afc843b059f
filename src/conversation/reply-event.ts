import type { ErrorCode } from '../errors.ts';

/** A reply's two texts. Offsets, lengths and digests count per channel. */
export type Channel = 'content' | 'thinking';

export type FinishReason = 'stop' | 'length' | 'cancelled' | 'repetition' | 'tool_rounds';

/** Tokens of a whole reply. `estimated` when the backend could not say (cancelled, broken off). */
export interface Usage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly source: 'measured' | 'estimated';
}

/** Milliseconds from the request's arrival, each absent when it was never reached. */
export interface Timings {
  readonly queuedMs: number;
  readonly loadMs: number;
  readonly firstTokenMs?: number;
  readonly totalMs: number;
}

/** Why a reply failed, as its terminal event tells it. */
export interface ReplyFailure {
  readonly code: ErrorCode;
  /** A sentence for people. */
  readonly message: string;
  readonly retryAfterMs?: number;
}

/** How a reply ended. */
export interface ReplyOutcome {
  readonly state: 'done' | 'failed' | 'cancelled';
  /** There for `done` and `cancelled`. */
  readonly finishReason?: FinishReason;
  /** There for `failed`. */
  readonly failure?: ReplyFailure;
  readonly usage: Usage;
  readonly timings: Timings;
}

/** History was left out of the prompt. */
export interface ContextEvent {
  readonly type: 'context';
  readonly droppedTurns: number;
  readonly keptTurns: number;
  readonly estimatedTokens: number;
  readonly contextWindow: number;
}

/** More text. */
export interface TextDelta {
  readonly type: 'text-delta';
  readonly channel: Channel;
  /** Where in the channel's text it begins, in UTF-16 units. */
  readonly at: number;
  readonly text: string;
}

/** The last event of a reply; nothing follows it. */
export interface ReplyEnd extends ReplyOutcome {
  readonly type: 'end';
  /** The whole text of `content`, also of a reply that failed or was cancelled. */
  readonly text: string;
  /** Of `text`, in UTF-16 units. */
  readonly length: number;
  /** CRC-32 of `text` in UTF-8, 8 hex digits. */
  readonly digest: string;
  /** Milliseconds since 1970, UTC. */
  readonly endedAt: number;
}

export type ReplyEvent = ContextEvent | TextDelta | ReplyEnd;

/** An event at its place in the reply's log: sequence numbers are 1, 2, 3 … without a hole. */
export interface LogEntry {
  readonly seq: number;
  readonly event: ReplyEvent;
}

export type ReplyState = 'running' | ReplyOutcome['state'];

export const isEnd = (entry: LogEntry): entry is LogEntry & { readonly event: ReplyEnd } => entry.event.type === 'end';
