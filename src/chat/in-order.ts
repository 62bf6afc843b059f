/** Work of one kind, one at a time for each key and in the order in which it came; different keys do not wait. */
export class InOrder {
  readonly #last = new Map<string, Promise<void>>();

  /** Runs `work` when all that came before it under `key` has settled. */
  async run<Result>(key: string, work: () => Promise<Result>): Promise<Result> {
    const running = (this.#last.get(key) ?? Promise.resolve()).then(work);
    const settled = running.then(
      () => undefined,
      () => undefined,
    );
    this.#last.set(key, settled);
    try {
      return await running;
    } finally {
      if (this.#last.get(key) === settled) this.#last.delete(key);
    }
  }

  /** Resolves when all that has come under `key` so far has settled. */
  async settled(key: string): Promise<void> {
    await this.#last.get(key);
  }
}
