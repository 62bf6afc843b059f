import type { Clock } from '../clock.ts';

export type BreakerState = 'closed' | 'open' | 'half-open';

/** What went wrong: nobody is there, or somebody who does it wrong. */
export type Fault = 'unreachable' | 'failure';

/** One call that the breaker let through. Disposing it without a word says nothing of the host. */
export interface Attempt extends Disposable {
  succeed(): void;
  fail(fault: Fault): void;
}

const WINDOW_MS = 30_000;
/** Where fewer calls than `MANY` were made: so many failures open it. */
const FEW_FAILURES = 5;
/** Where there were more: this share of them. */
const MANY = 20;
const SHARE = 0.5;
const FIRST_OPEN_MS = 2_000;
/** So a host is tried at most six times a minute. */
const LONGEST_OPEN_MS = 12_000;

interface Call {
  readonly at: number;
  readonly failed: boolean;
}

/**
 * Keeps calls from a host that fails: closed, it lets all through; open, none; half-open, one at a time, whose
 * success closes it and whose failure opens it for longer. Who has it asks the host in between whether it is there,
 * and tells the answer.
 */
export class Breaker {
  readonly #clock: Clock;
  readonly #onChange: (state: BreakerState) => void;
  #state: BreakerState = 'closed';
  #calls: Call[] = [];
  #openMs = FIRST_OPEN_MS;
  #openUntil = 0;
  #openedBy: Fault | undefined;
  #trials = 0;

  /** `onChange` is called after each change of the state. */
  constructor(clock: Clock, onChange: (state: BreakerState) => void = () => undefined) {
    this.#clock = clock;
    this.#onChange = onChange;
  }

  get state(): BreakerState {
    return this.#state;
  }

  /** Whether a call would be let through now. */
  get isPassable(): boolean {
    return this.#state === 'closed' || (this.#state === 'half-open' && this.#trials === 0);
  }

  /** Whether it is open because nobody was there. */
  get isUnreachable(): boolean {
    return this.#state === 'open' && this.#openedBy === 'unreachable';
  }

  /** Milliseconds until the host is worth a question again; 0 where it is now. */
  get waitMs(): number {
    return this.#state === 'open' ? Math.max(0, this.#openUntil - this.#clock.elapsed()) : 0;
  }

  /** A call begins; undefined where it may not. */
  begin(): Attempt | undefined {
    if (!this.isPassable) return undefined;
    const isTrial = this.#state === 'half-open';
    if (isTrial) this.#trials += 1;
    let isTold = false;
    const tell = (act: () => void): void => {
      if (isTold) return;
      isTold = true;
      if (isTrial) this.#trials -= 1;
      act();
    };
    return {
      succeed: () => tell(() => this.#succeed()),
      fail: (fault) => tell(() => this.fail(fault)),
      [Symbol.dispose]: () => tell(() => undefined),
    };
  }

  /** A failure, of a call or of another question to the host. */
  fail(fault: Fault): void {
    const now = this.#clock.elapsed();
    if (this.#state === 'open') return; // what was begun before says nothing new
    this.#count(true);
    if (this.#state === 'half-open') this.#open(fault, Math.min(LONGEST_OPEN_MS, this.#openMs * 2), now);
    else if (fault === 'unreachable' || this.#hasFailedTooOften()) this.#open(fault, FIRST_OPEN_MS, now);
  }

  /** The host was asked whether it is there, while open. It was: who was only away is back, who failed gets a trial. */
  answered(): void {
    if (this.#state !== 'open') return;
    if (this.#openedBy === 'unreachable') this.#close();
    else this.#change('half-open');
  }

  /** The host was asked whether it is there, and did not say so. */
  unanswered(): void {
    const now = this.#clock.elapsed();
    if (this.#state === 'open') this.#open('unreachable', Math.min(LONGEST_OPEN_MS, this.#openMs * 2), now);
    else this.#open('unreachable', FIRST_OPEN_MS, now);
  }

  #succeed(): void {
    this.#count(false);
    if (this.#state !== 'closed') this.#close();
  }

  #open(fault: Fault, openMs: number, now: number): void {
    // Who failed and went away then is not well again because it is back.
    this.#openedBy = this.#state === 'open' || this.#state === 'half-open' ? (this.#openedBy ?? fault) : fault;
    this.#openMs = openMs;
    this.#openUntil = now + openMs;
    if (this.#state !== 'open') this.#change('open');
  }

  #close(): void {
    this.#calls = [];
    this.#openMs = FIRST_OPEN_MS;
    this.#openedBy = undefined;
    this.#change('closed');
  }

  #change(state: BreakerState): void {
    this.#state = state;
    this.#onChange(state);
  }

  #count(failed: boolean): void {
    const at = this.#clock.elapsed();
    const since = at - WINDOW_MS;
    const recent = this.#calls.findIndex((call) => call.at > since);
    this.#calls = recent === -1 ? [] : recent === 0 ? this.#calls : this.#calls.slice(recent);
    this.#calls.push({ at, failed });
  }

  #hasFailedTooOften(): boolean {
    const failures = this.#calls.filter(({ failed }) => failed).length;
    return failures >= (this.#calls.length < MANY ? FEW_FAILURES : this.#calls.length * SHARE);
  }
}
