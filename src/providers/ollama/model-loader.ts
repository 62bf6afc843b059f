import type { Clock } from '../../clock.ts';
import type { Deadlines } from '../../deadlines.ts';
import { BackendTimeoutError, BackendUnavailableError } from '../../errors.ts';
import { toLoadOptions } from './chat-body.ts';
import type { KeepAlive } from './chat-body.ts';
import { isObject } from './line-reader.ts';
import { FRESH_MS } from './model-catalog.ts';
import type { OllamaModel } from './model-catalog.ts';
import { isSameModel, toFullModelName } from '../../conversation/model-name.ts';
import type { OllamaHost } from './ollama-host.ts';

export interface ModelLoaderOptions {
  readonly host: OllamaHost;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly keepAlive: KeepAlive;
  readonly loadTimeoutMs: number;
  /** Runs a load when its turn has come; at once by default. */
  readonly runChore?: RunChore;
  /** Called when other models are loaded, or on their way there, than before. */
  readonly onChange?: () => void;
}

/** Runs what is heavy for the host, one after the other. */
export type RunChore = <Result>(chore: () => Promise<Result>) => Promise<Result>;

/** A load on its way. All who wait for the model share it; none of them can end it. */
export interface Load {
  /** By `Clock.elapsed`. */
  readonly since: number;
  /** Rejects with an LLMError. */
  readonly done: Promise<void>;
}

/**
 * `ready`: it was ready before and is shown still. `unsure`: it is shown, but Ollama shows a model while it loads
 * too. `absent`: not shown, or shown with another window. `unknown`: Ollama does not say. `silent`: it does not say
 * anything at all.
 */
export type Readiness = 'ready' | 'unsure' | 'absent' | 'unknown' | 'silent';

/** A host that takes longer to say what is loaded does not say it. */
const LOOK_MS = 5_000;
/** After a model could not be loaded, its host is asked for it only when no other can be. */
const REFUSED_MS = 60_000;
/** How long a load takes, before one was measured. */
const UNMEASURED_MS = 10_000;

/** What may take minutes once and then nothing: getting a model into memory, with our options. */
export class ModelLoader implements Disposable {
  readonly #options: ModelLoaderOptions;
  readonly #loads = new Map<string, Load>();
  /** What was in memory, and when that was last known. */
  readonly #ready = new Map<string, { readonly model: OllamaModel; readonly at: number }>();
  /** Until when each counts as one that cannot be loaded. */
  readonly #refused = new Map<string, number>();
  readonly #loadMs = new Map<string, number>();
  #lastLoadMs = UNMEASURED_MS;
  readonly #stop = new AbortController();
  /** `running` is undefined where the host did not say. */
  #said: { readonly running: readonly Running[] | undefined; readonly at: number } | undefined;
  #flight: Promise<void> | undefined;
  /** What was loaded when that was told last. */
  #told = '';

  constructor(options: ModelLoaderOptions) {
    this.#options = options;
  }

  /** Where the model stands, as the host says now or said `maxAgeMs` ago. It never throws. */
  async look(model: OllamaModel, maxAgeMs = FRESH_MS): Promise<Exclude<Readiness, 'silent'>> {
    const key = toKey(model);
    if (this.#loads.has(key)) return 'absent';
    await this.refresh(maxAgeMs);
    const running = this.#said?.running;
    if (running === undefined) return 'unknown';
    if (this.#ready.has(key)) return 'ready';
    return isShown(model, running) ? 'unsure' : 'absent';
  }

  /** Sees to it that what is known is no older than that. It never throws. */
  async refresh(maxAgeMs = FRESH_MS): Promise<void> {
    if (this.#said && this.#options.clock.elapsed() - this.#said.at < maxAgeMs) return;
    await (this.#flight ??= this.#askRunning());
  }

  /** The names of the models in memory, as far as it is known. */
  get names(): readonly string[] {
    return (this.#said?.running ?? []).map(({ name }) => name);
  }

  /** Whether it is in memory with our window, or on its way there. */
  isLoaded(model: OllamaModel): boolean {
    const key = toKey(model);
    return this.#loads.has(key) || this.#ready.has(key) || isShown(model, this.#said?.running ?? []);
  }

  /** How long it takes to load: as it was measured, of this model or of another. */
  loadMs(model: OllamaModel): number {
    return this.#loadMs.get(toKey(model)) ?? this.#lastLoadMs;
  }

  /** Whether it could not be loaded a moment ago. */
  isRefused(model: OllamaModel): boolean {
    return (this.#refused.get(toKey(model)) ?? 0) > this.#options.clock.elapsed();
  }

  /**
   * Asks for the model, or joins who has asked already. Of a model that is ready this is a matter of milliseconds.
   * The request is the service's own: Ollama breaks a load off when the one who asked for it leaves.
   */
  load(model: OllamaModel): Load {
    const key = toKey(model);
    const running = this.#loads.get(key);
    if (running) return running;
    const done = this.#load(model).finally(() => {
      this.#loads.delete(key);
      this.#tell();
    });
    const load = { since: this.#options.clock.elapsed(), done };
    this.#loads.set(key, load);
    done.catch(() => undefined); // told to those who wait; perhaps nobody does any more
    this.#tell();
    return load;
  }

  /** It has spoken: it is loaded. */
  confirm(model: OllamaModel): void {
    this.#ready.set(toKey(model), { model, at: this.#options.clock.elapsed() });
    this.#refused.delete(toKey(model));
    this.#tell();
  }

  /** It failed: the next one has it loaded again, which costs nothing when it still is. */
  doubt(model: OllamaModel): void {
    this.#ready.delete(toKey(model));
    this.#said = undefined;
  }

  /** It cannot be loaded here. */
  refuse(model: OllamaModel): void {
    this.#refused.set(toKey(model), this.#options.clock.elapsed() + REFUSED_MS);
  }

  [Symbol.dispose](): void {
    this.#stop.abort(new BackendUnavailableError('The service is stopping. Ask again in a moment.'));
  }

  async #load(model: OllamaModel): Promise<void> {
    const { host, keepAlive, loadTimeoutMs, runChore = (chore) => chore() } = this.#options;
    const wasLoaded = this.isLoaded(model);
    // `shift` is missing in the package's types; no messages means: load.
    const body = { ...toLoadOptions(model, keepAlive), messages: [], stream: false as const };
    const load = async (): Promise<void> => {
      const begunAt = this.#options.clock.elapsed();
      await host.ask((client) => client.chat(body), {
        limitMs: loadTimeoutMs,
        toLimitError: () => tooLong(loadTimeoutMs),
        signal: this.#stop.signal,
        asked: { model: model.name },
      });
      if (!wasLoaded) this.#measure(model, this.#options.clock.elapsed() - begunAt);
    };
    await runChore(load);
    this.confirm(model);
  }

  #measure(model: OllamaModel, ms: number): void {
    this.#loadMs.set(toKey(model), ms);
    this.#lastLoadMs = ms;
    this.#said = undefined;
    void this.refresh(); // the host has more in its memory now, or something else
  }

  async #askRunning(): Promise<void> {
    const { host, clock } = this.#options;
    const askedAt = clock.elapsed();
    try {
      const running = await host.ask(async (client) => parseRunning(await client.ps()), { limitMs: LOOK_MS });
      this.#said = { running, at: clock.elapsed() };
      this.#forgetEvicted(running, askedAt);
    } catch {
      this.#said = { running: undefined, at: clock.elapsed() }; // the chat itself will meet what is wrong, and say it
    } finally {
      this.#flight = undefined;
      this.#tell();
    }
  }

  /** Says so where other models are loaded than before; while the host is asked, that is not known. */
  #tell(): void {
    if (this.#flight) return;
    const shown = (this.#said?.running ?? []).map(
      ({ name, contextWindow }) => `${toFullModelName(name)} ${contextWindow}`,
    );
    const loaded = [...new Set([...this.#loads.keys(), ...this.#ready.keys(), ...shown])].toSorted().join();
    if (loaded === this.#told) return;
    this.#told = loaded;
    this.#options.onChange?.();
  }

  /** What is not shown any more has been pushed out, but for what was loaded while the host was asked. */
  #forgetEvicted(running: readonly Running[], askedAt: number): void {
    for (const [key, { model, at }] of this.#ready) {
      if (at <= askedAt && !isShown(model, running)) this.#ready.delete(key);
    }
  }
}

const toKey = ({ name, contextWindow }: OllamaModel): string => `${toFullModelName(name)} ${contextWindow}`;

const tooLong = (loadTimeoutMs: number): BackendTimeoutError =>
  new BackendTimeoutError(
    `The model was not loaded within ${loadTimeoutMs / 1000} s. Raise LLM_LOAD_TIMEOUT, or choose a smaller model.`,
    { elsewhere: true },
  );

/** One line of `/api/ps`; the window is missing on old hosts. */
interface Running {
  readonly name: string;
  readonly contextWindow?: number;
}

const isShown = (model: OllamaModel, running: readonly Running[]): boolean =>
  running.some(
    ({ name, contextWindow = model.contextWindow }) =>
      isSameModel(name, model.name) && contextWindow === model.contextWindow,
  );

const parseRunning = (answer: unknown): readonly Running[] => {
  const models = isObject(answer) && Array.isArray(answer['models']) ? answer['models'] : [];
  return models.filter(isObject).flatMap(({ name, context_length: contextWindow }) => {
    if (typeof name !== 'string') return [];
    return typeof contextWindow === 'number' ? { name, contextWindow } : { name };
  });
};
