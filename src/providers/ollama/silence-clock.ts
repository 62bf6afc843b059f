import type { Deadline, Deadlines } from '../../deadlines.ts';

export interface SilenceClockOptions {
  readonly deadlines: Deadlines;
  /** Between two lines, and up to the first one of a model that is loaded. */
  readonly silenceMs: number;
  /** Up to the first line: longer than `silenceMs` when nobody knows whether the model is loaded. */
  readonly firstLineMs: number;
  readonly loadTimeoutMs: number;
  /**
   * Asked once, when the first line is late: whether that is because the model is being loaded after all. Undefined:
   * the host answers nobody, and is not waited for.
   */
  readonly isLoading: () => Promise<boolean | undefined>;
  /** Called once, with the limit that was passed. */
  readonly onSilence: (limitMs: number) => void;
}

/** Measures how long a backend says nothing, only while somebody listens: a slow reader is not its fault. */
export class SilenceClock implements Disposable {
  readonly #options: SilenceClockOptions;
  #deadline: Deadline;
  #limitMs: number;
  #hasHeard = false;
  #hasAsked = false;
  #isDisposed = false;

  constructor(options: SilenceClockOptions) {
    this.#options = options;
    this.#limitMs = options.firstLineMs;
    this.#hasAsked = options.firstLineMs > options.silenceMs; // it has all the time of a load already
    this.#deadline = this.#start();
  }

  /** Somebody waits for the backend from now on. */
  listen(): void {
    this.#deadline.reset(this.#limitMs);
  }

  /** Something came; until `listen` it is not the backend that is waited for. */
  rest(): void {
    if (!this.#hasHeard) {
      this.#hasHeard = true;
      this.#limitMs = this.#options.silenceMs;
      this.#deadline[Symbol.dispose](); // it may have passed already, with the question about the load under way
      this.#deadline = this.#start();
    }
    this.#deadline.reset(Number.POSITIVE_INFINITY);
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#deadline[Symbol.dispose]();
  }

  #start(): Deadline {
    return this.#options.deadlines.start(this.#limitMs, () => void this.#onPassed());
  }

  async #onPassed(): Promise<void> {
    if (this.#hasHeard || this.#hasAsked) return this.#options.onSilence(this.#limitMs);
    this.#hasAsked = true;
    const isLoading = await this.#options.isLoading();
    if (this.#hasHeard || this.#isDisposed) return;
    if (!isLoading) return this.#options.onSilence(this.#limitMs);
    this.#limitMs = this.#options.loadTimeoutMs;
    this.#deadline = this.#start();
  }
}
