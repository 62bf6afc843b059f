import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '../../src/clock.ts';

const START_MS = Date.UTC(2026, 0, 1);

/** How many turns of the loop what a timer set off may take (a few writes, one after the other) before time goes on. */
const TURNS_TO_SETTLE = 10;

interface Timer {
  dueMs: number;
  /** Of a timer that fires again and again. */
  readonly everyMs?: number;
  readonly fire: () => void;
}

/** A clock that stands still until a test moves it. It begins at 2026-01-01T00:00:00.000Z. */
export class VirtualClock implements Clock {
  readonly #timers = new Set<Timer>();
  #now = 0;
  /** What the time of day is ahead of the time that has gone by. */
  #wallAheadMs = START_MS;

  now(): number {
    return this.#now + this.#wallAheadMs;
  }

  elapsed(): number {
    return this.#now;
  }

  /** Sets the time of day forward, or back, as a person or NTP does. No time goes by. */
  setWallForward(ms: number): void {
    this.#wallAheadMs += ms;
  }

  /** How many wait for an instant. */
  get timers(): number {
    return this.#timers.size;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer: Timer = { dueMs: this.#now + ms, fire: resolve };
    const onAbort = (): void => reject(signal?.reason);
    signal?.addEventListener('abort', onAbort);
    this.#timers.add(timer);
    try {
      await promise;
    } finally {
      this.#timers.delete(timer);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  every(ms: number, callback: () => void): Disposable {
    const timer: Timer = { dueMs: this.#now + ms, everyMs: ms, fire: callback };
    this.#timers.add(timer);
    return { [Symbol.dispose]: () => void this.#timers.delete(timer) };
  }

  afterTurn(callback: () => void): void {
    setImmediate(callback);
  }

  /** Moves time on. What falls due fires at its own instant, in order, and what it sets off settles in between. */
  async advance(ms: number): Promise<void> {
    await this.settle();
    const endMs = this.#now + ms;
    for (let timer = this.#nextDue(endMs); timer; timer = this.#nextDue(endMs)) {
      this.#now = timer.dueMs;
      this.#fire(timer);
      await this.settle();
    }
    this.#now = endMs;
  }

  /** Moves time on at once, as on a machine that slept: what fell due meanwhile fires once, at the end. */
  async jump(ms: number): Promise<void> {
    this.#now += ms;
    await this.settle();
    for (let timer = this.#nextDue(this.#now); timer; timer = this.#nextDue(this.#now)) {
      if (timer.everyMs !== undefined) timer.dueMs = this.#now;
      this.#fire(timer);
      await this.settle();
    }
  }

  /** Lets what is under way go as far as it can without time. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < TURNS_TO_SETTLE; turn++) await nextTurn();
  }

  #nextDue(untilMs: number): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.dueMs <= untilMs && (!next || timer.dueMs < next.dueMs)) next = timer;
    }
    return next;
  }

  #fire(timer: Timer): void {
    if (timer.everyMs === undefined) this.#timers.delete(timer);
    else timer.dueMs += timer.everyMs;
    timer.fire();
  }
}

/** Time goes on until there is an answer; the sockets, which have their own time, get theirs. */
export const inTime = async <Answer>(clock: VirtualClock, answer: Promise<Answer>, stepMs = 100): Promise<Answer> => {
  const end = { isThere: false };
  const onEnd = (): void => void (end.isThere = true);
  answer.then(onEnd, onEnd);
  for (let step = 0; !end.isThere; step++) {
    if (step === 5_000) throw new Error('there was no answer');
    await clock.advance(stepMs);
  }
  return answer;
};
