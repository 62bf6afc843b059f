import type { Clock } from '../../clock.ts';
import type { Deadlines } from '../../deadlines.ts';
import { BackendTimeoutError, BackendUnavailableError } from '../../errors.ts';
import { toLoadOptions } from './chat-body.ts';
import type { KeepAlive } from './chat-body.ts';
import { isObject } from './line-reader.ts';
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
}

/** Runs what is heavy for the host, one after the other. */
export type RunChore = <Result>(chore: () => Promise<Result>) => Promise<Result>;

/** A load on its way. All who wait for the model share it; none of them can end it. */
export interface Load {
  /** Milliseconds since 1970, UTC. */
  readonly since: number;
  /** Rejects with an LLMError. */
  readonly done: Promise<void>;
}

/**
 * `ready`: it was ready before and is shown still. `unsure`: it is shown, but Ollama shows a model while it loads
 * too. `absent`: not shown, or shown with another window. `unknown`: Ollama does not say.
 */
export type Readiness = 'ready' | 'unsure' | 'absent' | 'unknown';

/** A host that takes longer to say what is loaded does not say it. */
const LOOK_MS = 5_000;

/** What may take minutes once and then nothing: getting a model into memory, with our options. */
export class ModelLoader implements Disposable {
  readonly #options: ModelLoaderOptions;
  readonly #loads = new Map<string, Load>();
  readonly #ready = new Set<string>();
  readonly #stop = new AbortController();

  constructor(options: ModelLoaderOptions) {
    this.#options = options;
  }

  /** Where the model stands. It never throws. */
  async look(model: OllamaModel): Promise<Readiness> {
    const key = toKey(model);
    if (this.#loads.has(key)) return 'absent';
    const shown = await this.#isShown(model);
    if (shown === undefined) return 'unknown';
    if (!shown) this.#ready.delete(key);
    if (this.#ready.has(key)) return 'ready';
    return shown ? 'unsure' : 'absent';
  }

  /**
   * Asks for the model, or joins who has asked already. Of a model that is ready this is a matter of milliseconds.
   * The request is the service's own: Ollama breaks a load off when the one who asked for it leaves.
   */
  load(model: OllamaModel): Load {
    const key = toKey(model);
    const running = this.#loads.get(key);
    if (running) return running;
    const done = this.#load(model).finally(() => this.#loads.delete(key));
    const load = { since: this.#options.clock.now(), done };
    this.#loads.set(key, load);
    done.then(
      () => this.#ready.add(key),
      () => undefined, // told to those who wait; perhaps nobody does any more
    );
    return load;
  }

  /** It has spoken: it is loaded. */
  confirm(model: OllamaModel): void {
    this.#ready.add(toKey(model));
  }

  /** It failed: the next one has it loaded again, which costs nothing when it still is. */
  doubt(model: OllamaModel): void {
    this.#ready.delete(toKey(model));
  }

  /** The names of the models in memory; none where the host does not say in time. It never throws. */
  async running(limitMs: number): Promise<readonly string[]> {
    try {
      return (await this.#askRunning(limitMs)).map(({ name }) => name);
    } catch {
      return []; // it tells people what is fast; who needs to know asks for the model itself
    }
  }

  [Symbol.dispose](): void {
    this.#stop.abort(new BackendUnavailableError('The service is stopping. Ask again in a moment.'));
  }

  async #load(model: OllamaModel): Promise<void> {
    const { host, keepAlive, loadTimeoutMs, runChore = (chore) => chore() } = this.#options;
    // `shift` is missing in the package's types; no messages means: load.
    const body = { ...toLoadOptions(model, keepAlive), messages: [], stream: false as const };
    const load = (): Promise<unknown> =>
      host.ask((client) => client.chat(body), {
        limitMs: loadTimeoutMs,
        toLimitError: () => tooLong(loadTimeoutMs),
        signal: this.#stop.signal,
        asked: { model: model.name },
      });
    await runChore(load);
  }

  async #isShown(model: OllamaModel): Promise<boolean | undefined> {
    try {
      const running = await this.#askRunning(LOOK_MS);
      return running.some(
        ({ name, contextWindow }) =>
          isSameModel(name, model.name) && (contextWindow === undefined || contextWindow === model.contextWindow),
      );
    } catch {
      return undefined; // the chat itself will meet what is wrong, and say it
    }
  }

  #askRunning(limitMs: number): Promise<readonly Running[]> {
    return this.#options.host.ask(async (client) => parseRunning(await client.ps()), { limitMs });
  }
}

const toKey = ({ name, contextWindow }: OllamaModel): string => `${toFullModelName(name)} ${contextWindow}`;

const tooLong = (loadTimeoutMs: number): BackendTimeoutError =>
  new BackendTimeoutError(
    `The model was not loaded within ${loadTimeoutMs / 1000} s. Raise LLM_LOAD_TIMEOUT, or choose a smaller model.`,
  );

/** One line of `/api/ps`; the window is missing on old hosts. */
interface Running {
  readonly name: string;
  readonly contextWindow?: number;
}

const parseRunning = (answer: unknown): readonly Running[] => {
  const models = isObject(answer) && Array.isArray(answer['models']) ? answer['models'] : [];
  return models.filter(isObject).flatMap(({ name, context_length: contextWindow }) => {
    if (typeof name !== 'string') return [];
    return typeof contextWindow === 'number' ? { name, contextWindow } : { name };
  });
};
