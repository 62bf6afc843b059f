import { setTimeout } from 'node:timers/promises';

const PATIENCE_MS = 10_000;
/** How much of what came is told when something did not come. */
const SHOWN = 12;

/** Writes down what comes, and tells when something comes that was waited for. */
export class Recorder<Item> {
  readonly #items: Item[] = [];
  readonly #watchers = new Set<() => void>();
  #closed: string | undefined;

  get items(): readonly Item[] {
    return this.#items;
  }

  add(item: Item): void {
    this.#items.push(item);
    this.#tell();
  }

  /** Nothing more comes, and why. */
  close(why: string): void {
    this.#closed ??= why;
    this.#tell();
  }

  /** The first item that is so; rejects when nothing more comes, or does not for long. */
  async waitFor(predicate: (item: Item, index: number) => boolean, what = predicate.toString()): Promise<Item> {
    const arrival = Promise.withResolvers<Item>();
    let seen = 0;
    const look = (): void => {
      for (; seen < this.#items.length; seen++) {
        const item = this.#items[seen]!; // below the length
        if (predicate(item, seen)) return arrival.resolve(item);
      }
      if (this.#closed !== undefined) arrival.reject(this.#missing(what, this.#closed));
    };
    const timer = new AbortController();
    this.#watchers.add(look);
    look();
    try {
      return await Promise.race([arrival.promise, this.#expire(what, timer.signal)]);
    } finally {
      this.#watchers.delete(look);
      timer.abort();
    }
  }

  #tell(): void {
    for (const look of this.#watchers) look();
  }

  async #expire(what: string, signal: AbortSignal): Promise<never> {
    try {
      await setTimeout(PATIENCE_MS, undefined, { signal });
    } catch {
      return new Promise<never>(() => undefined); // what was waited for came in time
    }
    throw this.#missing(what, `nothing for ${PATIENCE_MS} ms`);
  }

  #missing(what: string, why: string): Error {
    const last = this.#items.slice(-SHOWN).map((item) => `  ${JSON.stringify(item)}`.slice(0, 400));
    return new Error(`${what} did not come (${why}). The last of ${this.#items.length} that came:\n${last.join('\n')}`);
  }
}
