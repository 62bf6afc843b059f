import type { Clock } from '../clock.ts';
import type { CallerAllowance, CallerLimits, CallerRequest, ChargeAnswer } from './caller-limits.ts';
import { RUNNING_LEASE_MS } from './caller-limits.ts';
import { MINUTE_MS } from './chat-store.ts';

/** What one caller has used. */
interface Account {
  /** When each request of the last minute was charged, the oldest first. */
  readonly charges: Map<string, number>;
  /** Until when each running reply counts. */
  readonly running: Map<string, number>;
}

/** The limits of callers of one process, in its memory. */
export class MemoryCallerLimits implements CallerLimits {
  readonly #clock: Clock;
  readonly #accounts = new Map<string, Account>();
  #sweptAt: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#sweptAt = clock.elapsed();
  }

  async charge({ owner, request }: CallerRequest, allowance: CallerAllowance): Promise<ChargeAnswer> {
    this.#sweep();
    const now = this.#clock.elapsed();
    const account = this.#open(owner);
    const refusal = toRefusal(account, { request, allowance, now });
    if (refusal) return refusal;
    if (!account.charges.has(request)) account.charges.set(request, now);
    account.running.set(request, now + RUNNING_LEASE_MS);
    return { type: 'ok', remaining: Math.max(allowance.requestsPerMinute - account.charges.size, 0) };
  }

  async refund({ owner, request }: CallerRequest): Promise<void> {
    const account = this.#accounts.get(owner);
    account?.charges.delete(request);
    account?.running.delete(request);
  }

  async release({ owner, request }: CallerRequest): Promise<void> {
    this.#accounts.get(owner)?.running.delete(request);
  }

  async renew(requests: readonly CallerRequest[]): Promise<void> {
    const leaseUntil = this.#clock.elapsed() + RUNNING_LEASE_MS;
    for (const { owner, request } of requests) this.#open(owner).running.set(request, leaseUntil);
  }

  /** The account with nothing in it that counts no more. */
  #open(owner: string): Account {
    const account = this.#accounts.get(owner) ?? { charges: new Map(), running: new Map() };
    this.#accounts.set(owner, account);
    prune(account, this.#clock.elapsed());
    return account;
  }

  /** Callers come and go: once a minute, those with nothing left are forgotten. */
  #sweep(): void {
    const now = this.#clock.elapsed();
    if (now - this.#sweptAt < MINUTE_MS) return;
    this.#sweptAt = now;
    for (const [owner, account] of this.#accounts) {
      prune(account, now);
      if (account.charges.size === 0 && account.running.size === 0) this.#accounts.delete(owner);
    }
  }
}

const prune = ({ charges, running }: Account, now: number): void => {
  for (const [request, chargedAt] of charges) {
    if (chargedAt > now - MINUTE_MS) break;
    charges.delete(request);
  }
  for (const [request, leaseUntil] of running) if (leaseUntil <= now) running.delete(request);
};

/** Why a request may not be taken. One that was charged before needs no new request, only a place to run. */
const toRefusal = (
  { charges, running }: Account,
  { request, allowance, now }: { readonly request: string; readonly allowance: CallerAllowance; readonly now: number },
): ChargeAnswer | undefined => {
  if (!charges.has(request) && charges.size >= allowance.requestsPerMinute) {
    // With a smaller allowance than before, more than one must leave the minute.
    const chargedAt = [...charges.values()][charges.size - allowance.requestsPerMinute] ?? now;
    return { type: 'rate-limited', retryAfterMs: chargedAt + MINUTE_MS - now };
  }
  if (running.has(request) || running.size < allowance.maxConcurrent) return undefined;
  return { type: 'too-many-running', running: running.size };
};
