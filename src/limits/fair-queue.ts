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
      release: (servedMs) => this.#release(servedMs),
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
      {
        retryAfterMs: this.#times.expectedMs(1, this.#options.slots) ?? UNKNOWN_MS,
      },
    );
  }

  #serve(place: QueuedPlace): void {
    this.#serving += 1;
    place.serve();
  }

  #release(servedMs: number): void {
    this.#serving -= 1;
    this.#times.add(servedMs);
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
    const callers = [...this.#waiting.values()];
    const rounds = Math.max(0, ...callers.map((places) => places.length));
    let position = 0;
    for (let round = 0; round < rounds; round++) {
      for (const places of callers) places[round]?.moveTo((position += places[round] ? 1 : 0));
    }
  }
}

/** Before anything was measured. */
const UNKNOWN_MS = 10_000;

interface QueueSide {
  leave(): void;
  release(servedMs: number): void;
  expectedMs(position: number): number | undefined;
}

class QueuedPlace implements Place {
  readonly #options: FairQueueOptions;
  readonly #queue: QueueSide;
  #state: 'waiting' | 'served' | 'left' = 'waiting';
  #position = Number.POSITIVE_INFINITY;
  #servedAt = 0;
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
    const late = new AbortController();
    const onAbort = (): void => this.#wake();
    signal.addEventListener('abort', onAbort, { once: true });
    let isLate = false;
    void this.#options.clock.sleep(this.#options.timeoutMs, late.signal).then(
      () => {
        isLate = true;
        this.#wake();
      },
      () => undefined,
    );
    try {
      for (let told = 0; this.#state === 'waiting';) {
        signal.throwIfAborted();
        if (isLate) throw this.#tooLate();
        if (told !== this.#position) {
          told = this.#position;
          yield this.#toPosition();
          continue;
        }
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
      signal.throwIfAborted();
    } finally {
      late.abort();
      signal.removeEventListener('abort', onAbort);
    }
  }

  [Symbol.dispose](): void {
    const state = this.#state;
    this.#state = 'left';
    if (state === 'waiting') this.#queue.leave();
    if (state === 'served') this.#queue.release(this.#options.clock.now() - this.#servedAt);
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
