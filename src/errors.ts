/** What may go wrong, one class each. The wire's statuses are in `protocol/errors.ts`. */

export const ERROR_CODES = [
  'invalid_request',
  'context_length_exceeded',
  'unsupported',
  'unauthorized',
  'forbidden',
  'not_found',
  'model_not_found',
  'conversation_exists',
  'conversation_busy',
  'payload_too_large',
  'request_conflict',
  'queue_full',
  'draining',
  'storage_unavailable',
  'storage_full',
  'backend_unavailable',
  'backend_timeout',
  'backend_error',
  'empty_response',
  'recovery_exhausted',
  'invalid_output',
  'rate_limited',
  'storage_lost',
  'interrupted',
  'internal_error',
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

// HTTP's 429 and 503: waiting helps, and the answer says for how long.
const WORTH_A_WAIT: ReadonlySet<ErrorCode> = new Set([
  'rate_limited',
  'queue_full',
  'draining',
  'storage_unavailable',
  'storage_full',
  'backend_unavailable',
]);
const DEFAULT_WAIT_MS = 5_000;

/** After how long to ask again where nobody knows better; undefined where waiting is not what helps. */
export const toDefaultWaitMs = (code: ErrorCode): number | undefined =>
  WORTH_A_WAIT.has(code) ? DEFAULT_WAIT_MS : undefined;

/** Whether what says so succeeds when it is sent again: 429, 503, 504, the 502 `backend_error`, and `interrupted`. */
export const isRetryable = (code: ErrorCode): boolean =>
  WORTH_A_WAIT.has(code) || code === 'backend_timeout' || code === 'backend_error' || code === 'interrupted';

/** What an error tells beside its code and sentence. */
export interface ErrorDetails {
  /** After how many milliseconds it is worth asking again. */
  readonly retryAfterMs?: number;
  /** The reply that keeps the conversation busy. */
  readonly activeMessageId?: string;
  /** It can pass by itself: worth another attempt as long as nobody has seen any output. */
  readonly transient?: boolean;
  /** For who makes that other attempt at the same host: it does not pass sooner. */
  readonly leastDelayMs?: number;
  /** Another host may do what this one cannot: worth an attempt there, as long as nobody has seen any output. */
  readonly elsewhere?: boolean;
  /** The foreign error behind ours: for the log, never for a client. */
  readonly cause?: unknown;
}

/** How much of something a caller has. */
export interface RateLimit {
  readonly limit: number;
  readonly remaining: number;
  /** Of what is counted over a time: how long that is. Absent of what may be there at once. */
  readonly windowMs?: number;
}

/**
 * The root of all errors that a caller may see. `message` is a sentence for people that says what to do;
 * it never holds what people said, nor a backend's own words.
 */
export abstract class LLMError extends Error {
  abstract readonly code: ErrorCode;
  readonly retryAfterMs: number | undefined;
  readonly activeMessageId: string | undefined;
  readonly transient: boolean;
  readonly leastDelayMs: number;
  readonly elsewhere: boolean;

  constructor(message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? {} : { cause: details.cause });
    this.name = new.target.name;
    this.retryAfterMs = details.retryAfterMs;
    this.activeMessageId = details.activeMessageId;
    this.transient = details.transient ?? false;
    this.leastDelayMs = details.leastDelayMs ?? 0;
    this.elsewhere = details.elsewhere ?? false;
  }

  get retryable(): boolean {
    return isRetryable(this.code);
  }
}

/** The request's shape or a value in it is wrong. */
export class InvalidRequestError extends LLMError {
  override readonly code = 'invalid_request';
}
/** The prompt cannot fit into the model's window. */
export class ContextLengthExceededError extends LLMError {
  override readonly code = 'context_length_exceeded';
}
/** The model, or this version of the service, cannot do what was asked for (tools, thinking, images). */
export class UnsupportedError extends LLMError {
  override readonly code = 'unsupported';
}
export class UnauthorizedError extends LLMError {
  override readonly code = 'unauthorized';
}
export class ForbiddenError extends LLMError {
  override readonly code = 'forbidden';
}
/** Absent and somebody else's alike: the two must not be told apart. */
export class NotFoundError extends LLMError {
  override readonly code = 'not_found';
}
export class ModelNotFoundError extends LLMError {
  override readonly code = 'model_not_found';
}
export class ConversationExistsError extends LLMError {
  override readonly code = 'conversation_exists';
}
export class ConversationBusyError extends LLMError {
  override readonly code = 'conversation_busy';
}
export class PayloadTooLargeError extends LLMError {
  override readonly code = 'payload_too_large';
}
/** The same `request_id` came with another body. */
export class RequestConflictError extends LLMError {
  override readonly code = 'request_conflict';
}
/** No place is left in the queue, or the wait in it was too long. */
export class QueueFullError extends LLMError {
  override readonly code = 'queue_full';
}
/** What a caller may ask for is used up. */
export class RateLimitedError extends LLMError {
  override readonly code = 'rate_limited';
  /** How many there are, of what the sentence names. */
  readonly limit: number;
  /** How many of them are left. */
  readonly remaining: number;
  /** Of requests per time: the time. */
  readonly windowMs: number | undefined;

  constructor(message: string, { limit, remaining, windowMs, ...details }: ErrorDetails & RateLimit) {
    super(message, details);
    this.limit = limit;
    this.remaining = remaining;
    this.windowMs = windowMs;
  }
}
/** This instance is stopping and takes no new requests. */
export class DrainingError extends LLMError {
  override readonly code = 'draining';
}
export class StorageUnavailableError extends LLMError {
  override readonly code = 'storage_unavailable';
}
export class StorageFullError extends LLMError {
  override readonly code = 'storage_full';
}
/** The store no longer has what it had acknowledged. */
export class StorageLostError extends LLMError {
  override readonly code = 'storage_lost';
}
/** The host refuses, resets, is overloaded or has lost its runner: this can pass. */
export class BackendUnavailableError extends LLMError {
  override readonly code = 'backend_unavailable';
}
/** The host was silent for longer than the clock allows. */
export class BackendTimeoutError extends LLMError {
  override readonly code = 'backend_timeout';
}
/** The host answered with what it must not answer, or broke off in the middle. */
export class BackendError extends LLMError {
  override readonly code = 'backend_error';
}
/** The model ended without a word of content. */
export class EmptyResponseError extends LLMError {
  override readonly code = 'empty_response';
}
/** The model's answer does not meet the `format` that was asked for. */
export class InvalidOutputError extends LLMError {
  override readonly code = 'invalid_output';
}
/** The instance that wrote the reply is gone; its text is kept. */
export class InterruptedError extends LLMError {
  override readonly code = 'interrupted';
}
export class InternalError extends LLMError {
  override readonly code = 'internal_error';
}

/** Any error as one of ours: a foreign one becomes `internal_error` with its cause kept for the log. */
export const toLLMError = (error: unknown): LLMError =>
  error instanceof LLMError
    ? error
    : new InternalError('Something went wrong inside the service. Try again; the log of the service says more.', {
        cause: error,
      });
