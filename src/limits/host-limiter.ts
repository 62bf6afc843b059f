import Bottleneck from 'bottleneck';

export interface HostLimiterOptions {
  /** Replies that may begin in a minute; absent: any number. */
  readonly repliesPerMinute?: number;
}

const MINUTE_MS = 60_000;

/**
 * What one host is asked for by the service itself: loads go one at a time, since two models that are loaded at once
 * push each other out, and so do pulls, which share one line and one disk; and the replies of a minute may be counted.
 * A job of Bottleneck costs 0.4 ms: fit for what happens now and then, not for every token.
 */
export class HostLimiter implements Disposable {
  readonly #chores = new Bottleneck({ maxConcurrent: 1 });
  readonly #pulls = new Bottleneck({ maxConcurrent: 1 });
  readonly #budget: Bottleneck | undefined;

  constructor({ repliesPerMinute }: HostLimiterOptions = {}) {
    this.#budget =
      repliesPerMinute === undefined
        ? undefined
        : new Bottleneck({
            reservoir: repliesPerMinute,
            reservoirRefreshAmount: repliesPerMinute,
            reservoirRefreshInterval: MINUTE_MS,
          });
  }

  /** Runs a load when no other is running. */
  async runChore<Result>(chore: () => Promise<Result>): Promise<Result> {
    return this.#chores.schedule(chore);
  }

  /** Runs a pull when no other is running. It takes long, and it is the network's work: loads do not wait for it. */
  async runPull<Result>(pull: () => Promise<Result>): Promise<Result> {
    return this.#pulls.schedule(pull);
  }

  /**
   * Resolves when the host may begin one more reply.
   * @throws the signal's reason, at once; then nothing of the minute is used
   */
  async takeReply(signal: AbortSignal): Promise<void> {
    const budget = this.#budget;
    signal.throwIfAborted();
    if (!budget) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    // A job cannot be taken out of the line: one that was given up gives back what its turn has used.
    budget
      .schedule(async () => {
        if (signal.aborted) await budget.incrementReservoir(1);
        else resolve();
      })
      .catch(reject);
    try {
      await promise;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** Ends the clocks; who waits is not served any more. */
  [Symbol.dispose](): void {
    void this.#budget?.disconnect();
    void this.#chores.disconnect();
    void this.#pulls.disconnect();
  }
}

/** One for each host, made when it is first asked for. */
export class HostLimiters implements Disposable {
  readonly #repliesPerMinute: number | undefined;
  readonly #limiters = new Map<string, HostLimiter>();

  constructor(repliesPerMinute: number | undefined) {
    this.#repliesPerMinute = repliesPerMinute;
  }

  of(host: string): HostLimiter {
    const known = this.#limiters.get(host);
    if (known) return known;
    const limiter = new HostLimiter(
      this.#repliesPerMinute === undefined ? {} : { repliesPerMinute: this.#repliesPerMinute },
    );
    this.#limiters.set(host, limiter);
    return limiter;
  }

  [Symbol.dispose](): void {
    for (const limiter of this.#limiters.values()) limiter[Symbol.dispose]();
  }
}
