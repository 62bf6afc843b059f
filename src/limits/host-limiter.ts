import Bottleneck from 'bottleneck';

export interface HostLimiterOptions {
  /** Replies that may begin in a minute; absent: any number. */
  readonly repliesPerMinute?: number;
}

const MINUTE_MS = 60_000;

/**
 * What one host is asked for by the service itself: loads and pulls go one at a time, since two models that are
 * loaded at once push each other out; and the replies of a minute may be counted. A job of Bottleneck costs 0.4 ms:
 * fit for what happens now and then, not for every token.
 */
export class HostLimiter {
  readonly #chores = new Bottleneck({ maxConcurrent: 1 });
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

  /** Runs a load or a pull when no other is running. */
  async runChore<Result>(chore: () => Promise<Result>): Promise<Result> {
    return this.#chores.schedule(chore);
  }

  /** Resolves when the host may begin one more reply; rejects with the signal's reason. */
  async takeReply(signal: AbortSignal): Promise<void> {
    if (!this.#budget) return;
    // A job cannot be taken out again: one that was given up is not run when its turn comes, but has used it.
    await this.#budget.schedule(async () => signal.throwIfAborted());
  }
}
