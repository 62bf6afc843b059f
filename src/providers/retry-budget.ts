import type { Clock } from '../clock.ts';

const WINDOW_SECONDS = 60;
const RETRY_SHARE = 0.1;
const LEAST_RETRIES = 10;

interface Second {
  /** Which one, by `Clock.elapsed`. */
  readonly at: number;
  requests: number;
  retries: number;
}

/**
 * Keeps retries from making an outage worse: at most 10 % of the last minute's requests, never fewer than 10, nor than can
 * run at once.
 * Counted by the second, so that a minute costs sixty numbers however much is asked.
 */
export class RetryBudget {
  readonly #clock: Clock;
  readonly #least: number;
  #seconds: Second[] = [];

  /** `atOnce`: how many replies may run at once; as many may be made elsewhere when the host that makes them dies. */
  constructor(clock: Clock, atOnce = 0) {
    this.#clock = clock;
    this.#least = Math.max(LEAST_RETRIES, atOnce);
  }

  /** A request begins; its retries are not requests. */
  countRequest(): void {
    this.#current().requests += 1;
  }

  /** Takes one retry, or answers false: then there is none to take. */
  take(): boolean {
    const current = this.#current();
    const requests = sum(this.#seconds.map((second) => second.requests));
    const retries = sum(this.#seconds.map((second) => second.retries));
    if (retries >= Math.max(this.#least, Math.floor(requests * RETRY_SHARE))) return false;
    current.retries += 1;
    return true;
  }

  /** The retry that was taken is not made after all. */
  giveBack(): void {
    const current = this.#current();
    current.retries = Math.max(0, current.retries - 1);
  }

  #current(): Second {
    const at = Math.floor(this.#clock.elapsed() / 1000);
    const last = this.#seconds.at(-1);
    if (last?.at === at) return last;
    const next: Second = { at, requests: 0, retries: 0 };
    this.#seconds = [...this.#seconds.filter((second) => second.at > at - WINDOW_SECONDS), next];
    return next;
  }
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
