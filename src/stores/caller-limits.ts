/** How much a caller may ask for. */
export interface CallerAllowance {
  /** Requests in any 60 seconds. */
  readonly requestsPerMinute: number;
  /** Replies that are queued or running. */
  readonly maxConcurrent: number;
}

/** A caller's request, known by its id within its conversation. */
export interface CallerRequest {
  readonly owner: string;
  /** Names the request among the caller's: conversation and request id together. */
  readonly request: string;
}

export type ChargeAnswer =
  /** `remaining` requests are left of this minute; a request that was charged before is not charged again. */
  | { readonly type: 'ok'; readonly remaining: number }
  /** The minute's requests are used up; the next is free in `retryAfterMs`. */
  | { readonly type: 'rate-limited'; readonly retryAfterMs: number }
  /** As many replies as may run are running. */
  | { readonly type: 'too-many-running'; readonly running: number };

/** How long a running reply counts without being renewed: its instance may be gone. */
export const RUNNING_LEASE_MS = 4_000;

/**
 * What callers have used, over all instances: requests within every sliding minute, and running replies as leases
 * that expire with their instance. One charge is one atomic step. It throws what a `ChatStore` throws.
 */
export interface CallerLimits {
  /**
   * Takes one request and one running reply, or neither. Repeating it under the same request changes nothing, where
   * the reply still counts as running; where it does not, a repeat takes a place to run, and no request.
   */
  charge(request: CallerRequest, allowance: CallerAllowance): Promise<ChargeAnswer>;
  /** Gives both back: nothing has begun. Not for whom `begin` tells that the request exists: it was begun with them. */
  refund(request: CallerRequest): Promise<void>;
  /** The reply has ended: it runs no more; the request stays charged. */
  release(request: CallerRequest): Promise<void>;
  /** The replies run still; one that had expired meanwhile counts again. */
  renew(requests: readonly CallerRequest[]): Promise<void>;
}
