import type { Clock } from '../clock.ts';
import type { ChatStore } from '../stores/chat-store.ts';
import { HEARTBEAT_MS } from './live-reply.ts';

/**
 * When to look at the log of a reply that another instance writes: when the store says that it has grown, and
 * every now and then, since what it says may be lost.
 */
export class Nudge implements Disposable {
  readonly #clock: Clock;
  readonly #subscription: Disposable;
  #isNudged = false;
  #wake = (): void => undefined;
  #lastToldAt: number;

  constructor(store: ChatStore, clock: Clock, messageId: string) {
    this.#clock = clock;
    this.#lastToldAt = clock.elapsed();
    this.#subscription = store.watch(messageId, () => {
      this.#isNudged = true;
      this.#wake();
    });
  }

  /** The watcher was told something. */
  touch(): void {
    this.#lastToldAt = this.#clock.elapsed();
  }

  /** Whether nothing was told for so long that the silence is to be broken; it is told then. */
  isSilent(): boolean {
    if (this.#clock.elapsed() - this.#lastToldAt < HEARTBEAT_MS) return false;
    this.touch();
    return true;
  }

  /** Resolves when the log may have grown, after `ms`, or when aborted. */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    if (!this.#isNudged) {
      const patience = new AbortController();
      const nudged = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      const late = this.#clock.sleep(ms, AbortSignal.any([signal, patience.signal])).catch(() => undefined);
      await Promise.race([nudged, late]);
      patience.abort();
    }
    this.#isNudged = false;
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
  }
}
