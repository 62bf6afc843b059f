/** A new measurement moves the mean by this share. */
const WEIGHT = 0.2;
const LEAST_MS = 100;

/** How long a slot is taken by one request, for each model: a moving mean of what was measured. */
export class ServiceTimes {
  readonly #meanMs = new Map<string, number>();

  add(model: string, ms: number): void {
    const meanMs = this.#meanMs.get(model);
    this.#meanMs.set(model, meanMs === undefined ? ms : meanMs + (ms - meanMs) * WEIGHT);
  }

  /** How long one takes; 0 before anything was measured. */
  meanMs(model: string): number {
    return this.#meanMs.get(model) ?? 0;
  }

  /** When the request at `position` may expect its turn; undefined before anything was measured, or without slots. */
  expectedMs(model: string, position: number, slots: number): number | undefined {
    const meanMs = this.#meanMs.get(model);
    if (meanMs === undefined || slots === 0) return undefined;
    return Math.max(LEAST_MS, Math.round((meanMs * position) / slots));
  }
}
