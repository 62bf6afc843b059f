/** Who of those who wait gets a free place: the first, as Ollama promises, or the last, as it sometimes looks. */
export type WaitOrder = 'first-come' | 'last-come';

/** Counts places; who finds none waits, and leaves the line when the signal aborts. */
export class Semaphore {
  readonly #order: WaitOrder;
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(places: number, order: WaitOrder = 'first-come') {
    this.#free = places;
    this.#order = order;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  get isFull(): boolean {
    return this.#free === 0;
  }

  /** Takes a place, to be given back by `release`; throws the signal's reason and takes none when it aborts first. */
  async acquire(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#free > 0) {
      this.#free--;
      return;
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const leave = () => {
      this.#waiting.splice(this.#waiting.indexOf(enter), 1);
      reject(signal.reason);
    };
    const enter = () => {
      signal.removeEventListener('abort', leave); // at once: an abort from now on must not take another's place in line
      resolve();
    };
    this.#waiting.push(enter);
    signal.addEventListener('abort', leave, { once: true });
    await promise;
  }

  release(): void {
    const next = this.#order === 'first-come' ? this.#waiting.shift() : this.#waiting.pop();
    if (next) next();
    else this.#free++;
  }
}
