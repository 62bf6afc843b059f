import type { Clock } from '../clock.ts';
import { QueueFullError } from '../errors.ts';
import type { Seeker } from './next-turn.ts';

/** Where a waiting request stands. */
export interface QueuePosition {
  /** 1 is the next. It never rises. */
  readonly position: number;
  /** How long it will take, by what was measured; absent while nothing was. */
  readonly expectedMs?: number;
}

/** A request's place: in the queue first, in a host's slot then. Disposing it gives it back, wherever it is. */
export interface Place extends Disposable {
  /**
   * Yields where the request stands among those for its model, again whenever that changes, and ends when its turn has
   * come: then it has a host.
   * @throws QueueFullError when it has waited too long
   * @throws BackendUnavailableError when no host could be asked for too long
   * @throws the signal's reason: it has left the queue
   */
  wait(signal: AbortSignal): AsyncGenerator<QueuePosition, void>;
  /**
   * Keeps its place in the queue and takes no slot until it is waited for: what it needs is not there yet.
   * @throws QueueFullError when as many are held as may wait
   */
  hold(): void;
  /** Where it is to be asked; throws before its turn has come. */
  readonly host: string;
  /**
   * The host has failed: gives its slot back and resolves when another one has a slot, before everybody who has not
   * had a turn. It is the same host only where no other can be asked that was not.
   * @throws as `wait`
   */
  next(signal: AbortSignal): Promise<void>;
}

/** Who asks, for what. */
export interface Asker {
  /** Who is served in turn with the others. */
  readonly caller: string;
  /** One name for one model. */
  readonly model: string;
  /** Stays on its host while that costs nothing. */
  readonly conversation: string;
}

export interface PlaceOptions {
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly admit?: (host: string, signal: AbortSignal) => Promise<void>;
}

/** What a place asks of its queue. */
export interface QueueSide {
  leave(place: QueuedPlace): void;
  /** `heldMs`: how long the slot was taken; undefined where nothing came of it, which says nothing of the next. */
  release(place: QueuedPlace, heldMs: number | undefined): void;
  /**
   * From now on it is held.
   * @throws QueueFullError when too many are
   */
  hold(place: QueuedPlace): void;
  /** It is not held any more. */
  resume(place: QueuedPlace): void;
  /** Its slot is free, and it is the next. */
  seekAgain(place: QueuedPlace): void;
  expectedMs(model: string, position: number): number | undefined;
}

/** Before anything was measured. */
export const UNKNOWN_MS = 10_000;

export class QueuedPlace implements Place, Seeker {
  readonly caller: string;
  readonly model: string;
  readonly conversation: string;
  readonly tried = new Set<string>();
  loadAt: number | undefined;
  failAt: number | undefined;
  isHeld = false;
  readonly #options: PlaceOptions;
  readonly #queue: QueueSide;
  #state: 'waiting' | 'served' | 'left' = 'waiting';
  #host: string | undefined;
  #failure: Error | undefined;
  #position = Number.POSITIVE_INFINITY;
  #servedAt = 0;
  #isTaken = false;
  #told = Number.POSITIVE_INFINITY;
  #wake = (): void => undefined;

  constructor({ caller, model, conversation }: Asker, options: PlaceOptions, queue: QueueSide) {
    this.caller = caller;
    this.model = model;
    this.conversation = conversation;
    this.#options = options;
    this.#queue = queue;
  }

  get isWaiting(): boolean {
    return this.#state === 'waiting';
  }

  get host(): string {
    if (this.#host === undefined) throw new Error('a place has no host before its turn');
    return this.#host;
  }

  serve(host: string): void {
    this.#state = 'served';
    this.#host = host;
    this.#servedAt = this.#options.clock.elapsed();
    this.loadAt = undefined;
    this.#wake();
  }

  /** It is out of the queue, and will have no host. */
  fail(failure: Error): void {
    this.#state = 'left';
    this.#failure = failure;
    this.#wake();
  }

  moveTo(position: number): void {
    if (position >= this.#position) return;
    this.#position = position;
    this.#wake();
  }

  hold(): void {
    if (this.#state === 'left' || this.isHeld) return;
    this.#queue.hold(this);
    this.failAt = undefined;
    if (this.#state === 'waiting') return;
    this.#state = 'waiting';
    this.#queue.seekAgain(this);
  }

  async *wait(signal: AbortSignal): AsyncGenerator<QueuePosition, void> {
    if (this.isHeld) this.#queue.resume(this);
    signal.throwIfAborted();
    if (this.#state !== 'served' || this.#options.admit) yield* this.#waitInTime(signal);
    this.#isTaken = true;
  }

  /** For those who were not served at once, or are not admitted yet: only they need a clock. */
  async *#waitInTime(signal: AbortSignal): AsyncGenerator<QueuePosition, void> {
    const { clock, timeoutMs, admit } = this.#options;
    const patience = new AbortController();
    const over = new AbortController();
    const leaving = AbortSignal.any([signal, patience.signal]);
    leaving.addEventListener('abort', () => this.#wake(), { once: true });
    void clock.sleep(timeoutMs, over.signal).then(
      () => patience.abort(this.#tooLate()),
      () => undefined,
    );
    try {
      yield* this.#queueUp(leaving);
      if (admit) {
        this.moveTo(1); // nobody is before it but the host itself
        yield* this.#tell();
        await admit(this.host, leaving);
      }
      leaving.throwIfAborted();
    } finally {
      over.abort();
    }
  }

  async next(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#state !== 'served') throw new Error('only a place that has a host asks for the next one');
    this.tried.delete(this.host); // so that the last of the set is the last one
    this.tried.add(this.host);
    this.#isTaken = false;
    this.#state = 'waiting';
    this.#queue.seekAgain(this);
    const turn = this.wait(signal);
    while (!(await turn.next()).done); // nobody is told: its turn has begun
  }

  [Symbol.dispose](): void {
    const state = this.#state;
    this.#state = 'left';
    if (state === 'waiting') this.#queue.leave(this);
    if (state !== 'served') return;
    this.#queue.release(this, this.#isTaken ? this.#options.clock.elapsed() - this.#servedAt : undefined);
  }

  /** Ends when there is a host. */
  async *#queueUp(leaving: AbortSignal): AsyncGenerator<QueuePosition, void> {
    while (this.#state === 'waiting') {
      leaving.throwIfAborted();
      yield* this.#tell();
      if (this.#hasNews || leaving.aborted) continue;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#failure) throw this.#failure;
  }

  get #hasNews(): boolean {
    return this.#state !== 'waiting' || this.#told !== this.#position;
  }

  *#tell(): Generator<QueuePosition, void> {
    if (this.#told === this.#position) return;
    this.#told = this.#position;
    const expectedMs = this.#queue.expectedMs(this.model, this.#position);
    yield { position: this.#position, ...(expectedMs !== undefined && { expectedMs }) };
  }

  #tooLate(): QueueFullError {
    return new QueueFullError(
      `The model was busy for ${this.#options.timeoutMs / 1000} s (LLM_QUEUE_TIMEOUT). Ask again later.`,
      { retryAfterMs: this.#queue.expectedMs(this.model, this.#position) ?? UNKNOWN_MS },
    );
  }
}
