const MOST_CONVERSATIONS = 10_000;

/** Which host a conversation was on last: it may still know the conversation's beginning. The oldest are forgotten. */
export class LastHosts {
  readonly #hosts = new Map<string, string>();

  get(conversation: string): string | undefined {
    return this.#hosts.get(conversation);
  }

  set(conversation: string, host: string): void {
    this.#hosts.delete(conversation); // so that the first of the map is the oldest
    this.#hosts.set(conversation, host);
    if (this.#hosts.size <= MOST_CONVERSATIONS) return;
    for (const oldest of this.#hosts.keys()) {
      this.#hosts.delete(oldest);
      return;
    }
  }
}
