import type { Clock } from '../clock.ts';

/** One timer for whatever is due next: setting it forgets what it was set to. */
export class Alarm implements Disposable {
  readonly #clock: Clock;
  readonly #ring: () => void;
  #at: number | undefined;
  #set = new AbortController();

  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock;
    this.#ring = ring;
  }

  /** Rings once at this instant, in milliseconds since 1970; undefined: never. */
  set(at: number | undefined): void {
    if (at === this.#at) return;
    this.#set.abort();
    this.#at = at;
    if (at === undefined) return;
    const { signal } = (this.#set = new AbortController());
    void this.#clock.sleep(Math.max(0, at - this.#clock.elapsed()), signal).then(
      () => this.#onDue(signal),
      () => undefined, // set anew
    );
  }

  [Symbol.dispose](): void {
    this.set(undefined);
  }

  #onDue({ aborted: isSetAnew }: AbortSignal): void {
    if (isSetAnew) return;
    this.#at = undefined;
    this.#ring();
  }
}
