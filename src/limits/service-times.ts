/** A new measurement moves the mean by this share. */
const WEIGHT = 0.2;
const LEAST_MS = 100;

/** How long a slot is taken by one request, as a moving mean of what was measured. */
export class ServiceTimes {
  #meanMs: number | undefined;

  add(ms: number): void {
    this.#meanMs = this.#meanMs === undefined ? ms : this.#meanMs + (ms - this.#meanMs) * WEIGHT;
  }

  /** When the request at `position` may expect its turn; undefined before anything was measured. */
  expectedMs(position: number, slots: number): number | undefined {
    if (this.#meanMs === undefined) return undefined;
    return Math.max(LEAST_MS, Math.round((this.#meanMs * position) / slots));
  }
}
