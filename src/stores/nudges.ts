/** Who wants to know that a reply's log may have grown, by the reply's `message_id`. */
export class Nudges {
  readonly #watchers = new Map<string, Set<() => void>>();

  /** The replies that somebody watches. */
  get watched(): readonly string[] {
    return [...this.#watchers.keys()];
  }

  /** Whether anybody watches the reply. */
  has(messageId: string): boolean {
    return this.#watchers.has(messageId);
  }

  /** Adds a watcher until disposed; the same function may be added many times. */
  add(messageId: string, onNudge: () => void): Disposable {
    const watcher = (): void => onNudge();
    const watchers = this.#watchers.get(messageId) ?? new Set();
    this.#watchers.set(messageId, watchers.add(watcher));
    return {
      [Symbol.dispose]: () => {
        watchers.delete(watcher);
        if (watchers.size === 0 && this.#watchers.get(messageId) === watchers) this.#watchers.delete(messageId);
      },
    };
  }

  nudge(messageId: string): void {
    const watchers = [...(this.#watchers.get(messageId) ?? [])]; // who is added by one of them is not told
    for (const onNudge of watchers) onNudge();
  }
}
