import type { Clock } from '../clock.ts';
import { RateLimitedError } from '../errors.ts';
import type { CallerAllowance, CallerLimits, CallerRequest } from '../stores/caller-limits.ts';

/** A request that was charged, until its reply has ended. */
export interface Charged {
  /** Requests that are left of this minute. */
  readonly remaining: number;
  /** Nothing has begun: gives everything back. Never rejects. */
  refund(): Promise<void>;
  /** The reply runs: its lease is renewed until `end`. */
  begin(): void;
  /** The reply has ended; to say so again changes nothing. Never rejects. */
  end(): Promise<void>;
}

/** Leases of running replies are renewed this often. */
const RENEW_MS = 1_000;
/** Of the limit of requests. */
export const WINDOW_MS = 60_000;
/** What was charged once is not refused. */
const BOUNDLESS: CallerAllowance = { requestsPerMinute: 1_000_000_000, maxConcurrent: 1_000_000_000 };
/** When a running reply will end is not known: soon enough to ask again. */
const BUSY_RETRY_MS = 1_000;

export interface ChargeOptions {
  /** It takes the place of a running reply of the caller, which is about to end. */
  readonly isReplacing?: boolean;
}

/** What a caller may ask for, over all instances: charged before a reply begins, given back when it does not. */
export class Quota implements Disposable {
  readonly #limits: CallerLimits;
  readonly #allowance: CallerAllowance;
  readonly #running = new Set<CallerRequest>();
  readonly #timer: Disposable;
  #isRenewing = false;

  constructor(limits: CallerLimits, allowance: CallerAllowance, clock: Clock) {
    this.#limits = limits;
    this.#allowance = allowance;
    this.#timer = clock.every(RENEW_MS, () => void this.#renew());
  }

  /**
   * Takes one of the caller's requests and one of its running replies.
   * @throws RateLimitedError with what there is, what is left, and the wait
   */
  async charge(request: CallerRequest, { isReplacing = false }: ChargeOptions = {}): Promise<Charged> {
    const { requestsPerMinute, maxConcurrent } = this.#allowance;
    const mayRun = maxConcurrent + Number(isReplacing);
    const answer = await this.#limits.charge(request, { requestsPerMinute, maxConcurrent: mayRun });
    if (answer.type === 'rate-limited') {
      throw new RateLimitedError(
        `Only ${requestsPerMinute} requests a minute are allowed (LLM_RATE_LIMIT). Ask again in ${Math.ceil(answer.retryAfterMs / 1000)} s.`,
        { limit: requestsPerMinute, remaining: 0, windowMs: WINDOW_MS, retryAfterMs: answer.retryAfterMs },
      );
    }
    if (answer.type === 'too-many-running') {
      throw new RateLimitedError(
        `Only ${maxConcurrent} replies may run at once (LLM_MAX_CONCURRENT). Wait for one, or cancel it.`,
        { limit: maxConcurrent, remaining: 0, retryAfterMs: BUSY_RETRY_MS },
      );
    }
    return this.#toCharged(request, answer.remaining);
  }

  /**
   * The request's id is free again, but it stays charged: under a name that nobody can repeat. Never rejects: a store
   * that is away keeps its count.
   */
  async detach({ owner, request }: CallerRequest, name: string): Promise<void> {
    const detached = { owner, request: name };
    try {
      await this.#limits.charge(detached, BOUNDLESS);
      await this.#limits.release(detached);
      await this.#limits.refund({ owner, request });
    } catch {
      // Counted under its own name then: it cannot be charged twice, and leaves the minute all the same.
    }
  }

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
  }

  #toCharged(request: CallerRequest, remaining: number): Charged {
    // A store that is away keeps its count: the lease of what runs lapses, and the request leaves the minute.
    const ignore = (): void => undefined;
    let ended: Promise<void> | undefined;
    return {
      remaining,
      refund: () => this.#limits.refund(request).catch(ignore),
      begin: () => void this.#running.add(request),
      end: () => {
        this.#running.delete(request);
        return (ended ??= this.#limits.release(request).catch(ignore));
      },
    };
  }

  /** A store that is away lets the leases lapse: the replies run on, they are only not counted for a while. */
  async #renew(): Promise<void> {
    if (this.#running.size === 0 || this.#isRenewing) return;
    this.#isRenewing = true;
    await this.#limits.renew([...this.#running]).catch(() => undefined);
    this.#isRenewing = false;
  }
}
