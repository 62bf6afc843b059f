import type { Clock } from './clock.ts';

/** How often the clocks are looked at: a deadline is met at most this late. */
const RESOLUTION_MS = 100;

/** A deadline that moves: `touch` starts it anew, disposing it ends it. */
export interface Deadline extends Disposable {
  /** Something happened: the whole time is there again. */
  touch(): void;
  /** From now on another span counts, starting now. */
  reset(ms: number): void;
}

/**
 * All of a process's deadlines on one coarse timer. A token then costs a number written into an object,
 * not a timer cancelled and set again.
 */
export class Deadlines implements Disposable {
  readonly #clock: Clock;
  readonly #running = new Set<RunningDeadline>();
  readonly #timer: Disposable;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#timer = clock.every(RESOLUTION_MS, () => this.#check());
  }

  /** Calls `onPassed` once, when `ms` have gone by without a touch. */
  start(ms: number, onPassed: () => void): Deadline {
    const deadline = new RunningDeadline(this.#clock, ms, onPassed, () => this.#running.delete(deadline));
    this.#running.add(deadline);
    return deadline;
  }

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
    this.#running.clear();
  }

  #check(): void {
    const now = this.#clock.elapsed();
    for (const deadline of this.#running) deadline.check(now);
  }
}

class RunningDeadline implements Deadline {
  readonly #clock: Clock;
  readonly #onPassed: () => void;
  readonly #remove: () => void;
  #ms: number;
  #since: number;

  constructor(clock: Clock, ms: number, onPassed: () => void, remove: () => void) {
    this.#clock = clock;
    this.#ms = ms;
    this.#onPassed = onPassed;
    this.#remove = remove;
    this.#since = clock.elapsed();
  }

  touch(): void {
    this.#since = this.#clock.elapsed();
  }

  reset(ms: number): void {
    this.#ms = ms;
    this.touch();
  }

  check(now: number): void {
    if (now - this.#since < this.#ms) return;
    this.#remove();
    this.#onPassed();
  }

  [Symbol.dispose](): void {
    this.#remove();
  }
}
