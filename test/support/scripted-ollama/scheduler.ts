import { HttpRefusal } from './http-refusal.ts';
import type { Ledger, LoadRecord } from './ledger.ts';
import type { ScriptedModel } from './models.ts';
import { Runner } from './runner.ts';
import type { LoadScript } from './script.ts';
import { Semaphore, type WaitOrder } from './semaphore.ts';
import { waitFor, waitMs } from './waiting.ts';

export interface SchedulerOptions {
  readonly ledger: Ledger;
  readonly parallel: number;
  readonly maxQueue: number;
  readonly order: WaitOrder;
}

/** What a request needs loaded. */
export interface Wish {
  readonly model: ScriptedModel;
  readonly numCtx: number | undefined;
  readonly keepAliveMs: number | undefined;
  /** Loads anew, in this way, even what is loaded. */
  readonly load: LoadScript | undefined;
  readonly signal: AbortSignal;
}

/**
 * Loads and unloads models as Ollama's scheduler does: what is loaded with equal options is used at once, all else
 * stands in one line; a load is aborted when the client whose request began it leaves, and the next one begins anew.
 */
export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #runners = new Map<string, Runner>();
  readonly #loads: LoadScript[] = [];
  readonly #line = new Semaphore(1);

  constructor(options: SchedulerOptions) {
    this.#options = options;
  }

  /** Decides how the next load goes that really happens. */
  scriptLoad(load: LoadScript): void {
    this.#loads.push(load);
  }

  /** The loaded models, those that stay longest first. */
  loaded(): readonly Runner[] {
    return [...this.#runners.values()].toSorted((a, b) => b.expiresAt.getTime() - a.expiresAt.getTime());
  }

  /** The runner for a wish, in use until its `leave()`. Throws the refusal when the line is full or the load fails. */
  async open(wish: Wish): Promise<Runner> {
    const runner = this.#ready(wish) ?? (await this.#inLine(wish));
    runner.use(wish.keepAliveMs);
    return runner;
  }

  /** Goes when its last request ends; at once when a leaked slot would keep it for ever. */
  unload(name: string): void {
    const runner = this.#runners.get(name);
    if (!runner) return;
    runner.keepAliveMs = 0;
    if (runner.isIdle || runner.leaked > 0) this.drop(runner);
  }

  /** Gone at once, whatever it was doing. */
  drop(runner: Runner): void {
    if (this.#runners.get(runner.model.name) !== runner) return;
    this.#runners.delete(runner.model.name);
    this.#options.ledger.unloads.push(runner.model.name);
    runner.die();
    this.#options.ledger.changed();
  }

  dropAll(): void {
    for (const runner of this.#runners.values()) this.drop(runner);
  }

  #ready({ model, numCtx, load }: Wish): Runner | undefined {
    const runner = this.#runners.get(model.name);
    return load || runner?.numCtx !== contextOf(model, numCtx) ? undefined : runner;
  }

  async #inLine(wish: Wish): Promise<Runner> {
    if (this.#line.isFull && this.#line.waiting >= this.#options.maxQueue) {
      throw new HttpRefusal(503, 'server busy, please try again.  maximum pending requests exceeded');
    }
    await this.#line.acquire(wish.signal);
    try {
      return this.#ready(wish) ?? (await this.#load(wish));
    } finally {
      this.#line.release();
    }
  }

  async #load({ model, numCtx, load, signal }: Wish): Promise<Runner> {
    const old = this.#runners.get(model.name);
    if (old) {
      await waitFor(old.whenIdle(), signal);
      this.drop(old);
    }
    const { parallel, order, ledger } = this.#options;
    const record: LoadRecord = { model: model.name, numCtx: contextOf(model, numCtx), outcome: 'loading' };
    ledger.loads.push(record);
    ledger.changed();
    const loadedInMs = await this.#play(record, load ?? this.#loads.shift() ?? { ms: model.loadMs }, signal);
    const runner = new Runner({ model, numCtx: record.numCtx, parallel, order, loadedInMs }, (it) => this.drop(it));
    this.#runners.set(model.name, runner);
    return runner;
  }

  /** The time that the load took, in milliseconds. */
  async #play(record: LoadRecord, load: LoadScript, signal: AbortSignal): Promise<number> {
    const startedAt = performance.now();
    try {
      if (load.waitFor) await waitFor(load.waitFor, signal);
      if (load.ms) await waitMs(load.ms, signal);
      record.outcome = load.error === undefined ? 'loaded' : 'failed';
    } catch (error) {
      record.outcome = 'aborted';
      throw error;
    } finally {
      this.#options.ledger.changed();
    }
    if (load.error !== undefined) throw new HttpRefusal(500, load.error);
    return performance.now() - startedAt;
  }
}

/** The window in force: what was asked for, or the model's own, capped by the trained length. */
const contextOf = (model: ScriptedModel, numCtx: number | undefined): number =>
  Math.min(Math.max(numCtx ?? model.defaultContext, 4), model.contextLength);
