import type { ScriptedModel } from './models.ts';
import { Semaphore, type WaitOrder } from './semaphore.ts';

/** The process that held a model is gone. */
export class RunnerDied extends Error {}

export interface RunnerOptions {
  readonly model: ScriptedModel;
  readonly numCtx: number;
  readonly parallel: number;
  readonly order: WaitOrder;
  readonly loadedInMs: number;
}

const KEEP_ALIVE_MS = 300_000; // Ollama's default
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** A loaded model: its slots, who uses it, and how long it stays when nobody does. */
export class Runner {
  readonly model: ScriptedModel;
  readonly numCtx: number;
  readonly slots: Semaphore;
  readonly loadedInMs: number;
  keepAliveMs = KEEP_ALIVE_MS;
  expiresAt = new Date(0);
  /** Slots whose request left and that never come back. */
  leaked = 0;
  readonly #died = new AbortController();
  readonly #onExpired: (runner: Runner) => void;
  #references = 0;
  #idle = Promise.withResolvers<void>();
  #timer: NodeJS.Timeout | undefined;

  constructor({ model, numCtx, parallel, order, loadedInMs }: RunnerOptions, onExpired: (runner: Runner) => void) {
    this.model = model;
    this.numCtx = numCtx;
    this.loadedInMs = loadedInMs;
    this.slots = new Semaphore(parallel, order);
    this.#onExpired = onExpired;
    this.#idle.resolve();
  }

  /** Aborts, with a `RunnerDied`, when the runner goes. */
  get died(): AbortSignal {
    return this.#died.signal;
  }

  get isIdle(): boolean {
    return this.#references === 0;
  }

  whenIdle(): Promise<void> {
    return this.#idle.promise;
  }

  /** Somebody uses the model from now on, for a reply or to wait for a slot. */
  use(keepAliveMs: number | undefined): void {
    if (this.#references++ === 0) this.#idle = Promise.withResolvers();
    if (keepAliveMs !== undefined) this.keepAliveMs = keepAliveMs;
    this.#restartTimer();
  }

  leave(): void {
    if (--this.#references > 0) return;
    this.#idle.resolve();
    this.#restartTimer();
    if (this.keepAliveMs === 0) this.#onExpired(this);
  }

  die(): void {
    clearTimeout(this.#timer);
    this.#died.abort(new RunnerDied());
  }

  #restartTimer(): void {
    clearTimeout(this.#timer);
    const delayMs = Math.min(this.keepAliveMs, LONGEST_TIMER_MS);
    this.expiresAt = new Date(Date.now() + delayMs);
    if (!this.isIdle || this.keepAliveMs === Infinity) return;
    this.#timer = setTimeout(() => this.#onExpired(this), delayMs).unref();
  }
}
