import type { Clock } from '../clock.ts';
import { QueueFullError } from '../errors.ts';
import { ServiceTimes } from './service-times.ts';

export interface FairQueueOptions {
  readonly clock: Clock;
  /** How many may be served at once. */
  readonly slots: number;
  /** How many may wait. */
  readonly limit: number;
  /** How long one may wait. */
  readonly timeoutMs: number;
  /** Asked by who has a slot: resolves when the host takes one more; rejects with the signal's reason. */
  readonly admit?: (signal: AbortSignal) => Promise<void>;
}

/** Where a waiting request stands. */
export interface QueuePosition {
  /** 1 is the next. It never rises. */
  readonly position: number;
  /** How long it will take, by what was measured; absent while nothing was. */
  readonly expectedMs?: number;
}

/** A request's place: in the queue first, in a slot then. Disposing it gives it back, wherever it is. */
export interface Place extends Disposable {
  /**
   * Yields where the request stands, again whenever that changes, and ends when its turn has come.
   * @throws QueueFullError when it has waited too long
   * @throws the signal's reason: it has left the queue
   */
  wait(signal: AbortSignal): AsyncGenerator<QueuePosition, void>;
}

/**
 * A bounded queue in front of a number of slots, fair between callers: they are served turn by turn, so that one
 * with twenty waiting requests does not starve one with a single one. A caller's own requests keep their order.
 */
export class FairQueue {
  readonly #options: FairQueueOptions;
  readonly #times: ServiceTimes;
  /** Who waits, by caller; the callers in the order of their turns. */
  readonly #waiting = new Map<string, QueuedPlace[]>();
  #serving = 0;

  constructor(options: FairQueueOptions) {
    this.#options = options;
    this.#times = new ServiceTimes();
  }

  /** How many wait. */
  get waiting(): number {
    return [...this.#waiting.values()].reduce((total, places) => total + places.length, 0);
  }

  /** How many are being served. */
  get serving(): number {
    return this.#serving;
  }

  /**
   * Takes a slot, or a place in the queue.
   * @throws QueueFullError at once when there is neither, with the time after which there will be
   */
  enter(caller: string): Place {
    const place = new QueuedPlace(this.#options, {
      leave: () => this.#leave(caller, place),
      release: (heldMs) => this.#release(heldMs),
      expectedMs: (position) => this.#times.expectedMs(position, this.#options.slots),
    });
    if (this.#serving < this.#options.slots) {
      this.#serve(place);
    } else if (this.waiting < this.#options.limit) {
      this.#waiting.set(caller, [...(this.#waiting.get(caller) ?? []), place]);
      this.#tellPositions();
    } else {
      throw this.#full();
    }
    return place;
  }

  #full(): QueueFullError {
    return new QueueFullError(
      `The queue is full: ${this.#options.limit} requests wait (LLM_QUEUE_LIMIT). Ask again later.`,
      { retryAfterMs: this.#times.expectedMs(1, this.#options.slots) ?? UNKNOWN_MS },
    );
  }

  #serve(place: QueuedPlace): void {
    this.#serving += 1;
    place.serve();
  }

  #release(heldMs: number | undefined): void {
    this.#serving -= 1;
    if (heldMs !== undefined) this.#times.add(heldMs);
    const next = this.#takeNext();
    if (next) this.#serve(next);
    this.#tellPositions();
  }

  /** The caller whose turn it is goes to the end of the round. */
  #takeNext(): QueuedPlace | undefined {
    const [first] = this.#waiting;
    if (!first) return undefined;
    const [caller, [next, ...rest]] = first;
    this.#waiting.delete(caller);
    if (rest.length > 0) this.#waiting.set(caller, rest);
    return next;
  }

  #leave(caller: string, place: QueuedPlace): void {
    const rest = (this.#waiting.get(caller) ?? []).filter((each) => each !== place);
    if (rest.length > 0) this.#waiting.set(caller, rest);
    else this.#waiting.delete(caller);
    this.#tellPositions();
  }

  /** Everybody's place in the order in which they will be served: round by round. */
  #tellPositions(): void {
    let callers = [...this.#waiting.values()];
    let position = 0;
    for (let round = 0; callers.length > 0; round++) {
      for (const places of callers) places[round]?.moveTo((position += 1));
      callers = callers.filter(({ length }) => length > round + 1);
    }
  }
}

/** Before anything was measured. */
const UNKNOWN_MS = 10_000;

interface QueueSide {
  leave(): void;
  /** `heldMs`: how long the slot was taken; undefined where nothing came of it, which says nothing of the next. */
  release(heldMs: number | undefined): void;
  expectedMs(position: number): number | undefined;
}

class QueuedPlace implements Place {
  readonly #options: FairQueueOptions;
  readonly #queue: QueueSide;
  #state: 'waiting' | 'served' | 'left' = 'waiting';
  #position = Number.POSITIVE_INFINITY;
  #servedAt = 0;
  #isTaken = false;
  #told: number | undefined;
  #wake = (): void => undefined;

  constructor(options: FairQueueOptions, queue: QueueSide) {
    this.#options = options;
    this.#queue = queue;
  }

  serve(): void {
    this.#state = 'served';
    this.#servedAt = this.#options.clock.now();
    this.#wake();
  }

  moveTo(position: number): void {
    if (position >= this.#position) return;
    this.#position = position;
    this.#wake();
  }

  async *wait(signal: AbortSignal): AsyncGenerator<QueuePosition, void> {
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
        await admit(leaving);
      }
      leaving.throwIfAborted();
      this.#isTaken = true;
    } finally {
      over.abort();
    }
  }

  [Symbol.dispose](): void {
    const state = this.#state;
    this.#state = 'left';
    if (state === 'waiting') this.#queue.leave();
    if (state !== 'served') return;
    this.#queue.release(this.#isTaken ? this.#options.clock.now() - this.#servedAt : undefined);
  }

  /** Ends when a slot is there. */
  async *#queueUp(leaving: AbortSignal): AsyncGenerator<QueuePosition, void> {
    while (this.#state === 'waiting') {
      leaving.throwIfAborted();
      yield* this.#tell();
      if (this.#hasNews || leaving.aborted) continue;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  get #hasNews(): boolean {
    return this.#state !== 'waiting' || this.#told !== this.#position;
  }

  *#tell(): Generator<QueuePosition, void> {
    if (this.#told === this.#position) return;
    this.#told = this.#position;
    yield this.#toPosition();
  }

  #toPosition(): QueuePosition {
    const expectedMs = this.#queue.expectedMs(this.#position);
    return { position: this.#position, ...(expectedMs !== undefined && { expectedMs }) };
  }

  #tooLate(): QueueFullError {
    return new QueueFullError(
      `The model was busy for ${this.#options.timeoutMs / 1000} s (LLM_QUEUE_TIMEOUT). Ask again later.`,
      { retryAfterMs: this.#queue.expectedMs(this.#position) ?? UNKNOWN_MS },
    );
  }
}
