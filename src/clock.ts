/**
 * Time, timers, ids and randomness are handed to every part, so that the life of a reply runs in virtual time.
 * `system.ts` is the only file that knows the real ones.
 */
export interface Clock {
  /** Milliseconds since 1970, UTC: for what is stored or told. It jumps when the machine's clock is set or has slept. */
  now(): number;
  /** Whole milliseconds since an instant of its own that means nothing elsewhere. It never jumps: for durations. */
  elapsed(): number;
  /** Resolves after `ms`; rejects with the signal's reason when it aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `callback` every `ms` until disposed. It does not keep the process alive. */
  every(ms: number, callback: () => void): Disposable;
  /** Calls `callback` once, after what is already due in this turn of the loop. */
  afterTurn(callback: () => void): void;
}

/** Makes what must not be guessed or repeated. */
export interface Ids {
  /** A new id, 128 bits of randomness, safe in a URL. */
  newId(): string;
  /** Uniform in [0, 1): jitter, not secrets. */
  random(): number;
}

/** A clock's instant as the wire writes it: RFC 3339, UTC, milliseconds. */
export const toTimestamp = (ms: number): string => new Date(ms).toISOString();
