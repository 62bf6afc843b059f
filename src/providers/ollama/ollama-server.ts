import type { Clock, Ids } from '../../clock.ts';
import type { Deadlines } from '../../deadlines.ts';
import { BackendTimeoutError, LLMError, ModelNotFoundError } from '../../errors.ts';
import type { HostView } from '../../limits/host-board.ts';
import type { Attempt } from '../breaker.ts';
import type { HostHealth, Part, ProviderRequest } from '../provider.ts';
import { untilAborted } from '../until-aborted.ts';
import type { KeepAlive } from './chat-body.ts';
import { HostChats } from './host-chats.ts';
import { HostWatch } from './host-watch.ts';
import type { OllamaLog } from './host-watch.ts';
import { ModelCatalog } from './model-catalog.ts';
import type { OllamaModel } from './model-catalog.ts';
import { ModelLoader } from './model-loader.ts';
import type { Readiness, RunChore } from './model-loader.ts';
import { toHostFault } from './ollama-errors.ts';
import { OllamaHost } from './ollama-host.ts';
import { pullModel } from './pull-model.ts';
import type { PullOptions } from './pull-model.ts';

/** What all servers have in common. */
export interface ServerOptions {
  /** Tokens: what is asked for where the model was trained with as many. */
  readonly contextWindow: number;
  /** How long a model stays in memory after its last answer. */
  readonly keepAlive: KeepAlive;
  /** How long a model that is loaded may say nothing. */
  readonly silenceMs: number;
  readonly loadTimeoutMs: number;
  readonly connectTimeoutMs?: number;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly deadlines: Deadlines;
  readonly log?: OllamaLog;
}

export interface OllamaServerOptions extends ServerOptions {
  /** With a path and `user:password@` where there is a proxy in front. */
  readonly baseUrl: string;
  /** What messages call it instead of its address. */
  readonly alias?: string;
  readonly runChore?: RunChore;
  /** Called when the server may be asked that could not be before, has other models, or has others loaded. */
  readonly onChange: () => void;
}

const CONNECT_TIMEOUT_MS = 2_000;
/** A model that Ollama shows and that answers within this time was loaded: no word about loading. */
const LOADED_MS = 500;
/** What a host has is told as it was known before, where the host takes longer to say it. */
const CHECK_MS = 2_000;

/**
 * One Ollama server: what is known of it, whether it can be asked, and the asking. A model is loaded before it is
 * asked, by a request that nobody's leaving aborts; so the clock of the answer itself can be short.
 */
export class OllamaServer implements AsyncDisposable {
  readonly host: OllamaHost;
  readonly catalog: ModelCatalog;
  readonly watch: HostWatch;
  readonly #options: OllamaServerOptions;
  readonly #loader: ModelLoader;
  readonly #chats: HostChats;
  #running = 0;

  constructor(options: OllamaServerOptions) {
    this.#options = options;
    const { connectTimeoutMs = CONNECT_TIMEOUT_MS } = options;
    this.host = new OllamaHost({ ...options, connectTimeoutMs });
    const common = { ...options, host: this.host };
    this.catalog = new ModelCatalog(common);
    this.watch = new HostWatch({ ...common, catalog: this.catalog });
    this.#loader = new ModelLoader(common);
    this.#chats = new HostChats({ ...common, look: (model) => this.#look(model, 0) });
  }

  /** Replies that it makes for us now. */
  get running(): number {
    return this.#running;
  }

  get state(): HostView['state'] {
    return this.watch.state;
  }

  /** With regard to one model, from memory. */
  view(name: string): HostView {
    const model = this.catalog.recall(name);
    const { state } = this;
    return {
      host: this.host.address,
      state: model && state === 'up' && this.#loader.isRefused(model) ? 'suspect' : state,
      hasModel: model !== undefined,
      isLoaded: model !== undefined && this.#loader.isLoaded(model),
      loadMs: model === undefined ? 0 : this.#loader.loadMs(model),
    };
  }

  /** Sees to it that it is known which models are in its memory, where it can be asked. It never throws. */
  async learnLoaded(): Promise<void> {
    if (!this.watch.isLost && this.catalog.isKnown) await this.#loader.refresh();
  }

  /** How it is; asked now, unless it was lost: then it is asked when that is worth it. It never throws. */
  async check(): Promise<HostHealth> {
    const { catalog, watch } = this;
    const learning = watch.learnModels().then(() => this.learnLoaded());
    const answer = await watch.askVersion();
    if (typeof answer === 'string') await isDoneWithin(learning, CHECK_MS, this.#options.deadlines);
    const { state } = this;
    const about = { host: this.host.address, models: catalog.names };
    if (typeof answer !== 'string') return { ...about, status: 'down', loaded: [], hint: answer.message };
    const isDown = state === 'away';
    return {
      ...about,
      status: isDown ? 'down' : state,
      version: answer,
      loaded: this.#loader.names,
      ...(isDown && { hint: watch.toAwayError().message }),
    };
  }

  /**
   * Has the model loaded.
   * @throws LLMError
   */
  async preload(name: string): Promise<void> {
    await this.#loader.load(await this.catalog.find(name)).done;
  }

  /**
   * Downloads a model, and knows that it has it then.
   * @throws LLMError, or the signal's reason
   */
  async pull(model: string, options: PullOptions): Promise<void> {
    const { host, watch, catalog } = this;
    await pullModel({ ...options, host, deadlines: this.#options.deadlines, model });
    await watch.learnModels(0);
    if (!catalog.recall(model)) await watch.learnModels(0); // the first answer was under way before
  }

  /** One attempt. @throws LLMError, or the signal's reason */
  async *stream(request: ProviderRequest, signal: AbortSignal): AsyncGenerator<readonly Part[], void> {
    signal.throwIfAborted();
    using attempt = this.watch.begin();
    if (!attempt) throw this.watch.toAwayError();
    this.#running += 1;
    let isLoading = true;
    try {
      const model = toAsked(request, await untilAborted(this.catalog.find(request.model), signal));
      const readiness = yield* this.#load(model, signal);
      isLoading = false;
      const available = this.catalog.namesBut(request.model);
      for await (const parts of this.#chats.stream({ request, model, readiness, available, signal })) {
        if (parts.some(({ type }) => type === 'finish')) {
          this.#loader.confirm(model);
          attempt.succeed();
        }
        yield parts;
      }
    } catch (error) {
      if (!signal.aborted) this.#learnFrom(error, { request, attempt, isLoading });
      throw error;
    } finally {
      this.#running -= 1;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.watch[Symbol.dispose]();
    this.#loader[Symbol.dispose]();
    this.#chats[Symbol.dispose]();
    await this.host[Symbol.asyncDispose]();
  }

  /** Sees to it that the model is in memory, and says so where that takes its time. */
  async *#load(model: OllamaModel, signal: AbortSignal): AsyncGenerator<readonly Part[], Readiness> {
    const { clock, deadlines } = this.#options;
    const arrivedAt = clock.elapsed();
    const readiness = await untilAborted(this.#look(model), signal);
    if (readiness === 'silent') throw this.watch.toAwayError();
    if (readiness === 'absent' || readiness === 'unsure') {
      const load = this.#loader.load(model);
      const isQuick = readiness === 'unsure' && (await isDoneWithin(load.done, LOADED_MS, deadlines));
      if (!isQuick) yield [{ type: 'status', status: { state: 'model_loading', since: load.since } }];
      await untilAborted(load.done, signal);
    }
    yield [{ type: 'status', status: { state: 'generating', loadMs: clock.elapsed() - arrivedAt } }];
    return readiness;
  }

  /** Where the model stands. A host that only takes its time to say that, as it may while it loads, has a version. */
  async #look(model: OllamaModel, maxAgeMs?: number): Promise<Readiness> {
    const readiness = await this.#loader.look(model, maxAgeMs);
    if (readiness !== 'unknown') return readiness;
    return toHostFault(await this.watch.askVersion()) === 'unreachable' ? 'silent' : readiness;
  }

  /** What an error says of the model here, and of the server. */
  #learnFrom(error: unknown, { request, attempt, isLoading }: Asking): void {
    const known = this.catalog.recall(request.model);
    const model = known && toAsked(request, known);
    if (model) this.#loader.doubt(model);
    if (error instanceof ModelNotFoundError) return this.catalog.forget(request.model);
    const isElsewhere = error instanceof LLMError && error.elsewhere;
    if (error instanceof BackendTimeoutError && isElsewhere && !isLoading) return this.watch.suspect(attempt);
    const isHostsFault = this.watch.learnFrom(error, attempt);
    if (model && isElsewhere && !isHostsFault) this.#loader.refuse(model);
  }
}

/** What was asked for when an error came. */
interface Asking {
  readonly request: ProviderRequest;
  readonly attempt: Attempt;
  /** The model was still on its way into memory. */
  readonly isLoading: boolean;
}

const toAsked = ({ contextWindow }: ProviderRequest, model: OllamaModel): OllamaModel => ({
  ...model,
  contextWindow: Math.min(contextWindow, model.trainedLength),
});

/** Whether the work is done by then; it goes on if not. @throws what the work rejects with */
const isDoneWithin = async (work: Promise<void>, ms: number, deadlines: Deadlines): Promise<boolean> => {
  const { promise: isLate, resolve } = Promise.withResolvers<boolean>();
  const limit = deadlines.start(ms, () => resolve(false));
  try {
    return await Promise.race([work.then(() => true), isLate]);
  } finally {
    limit[Symbol.dispose]();
  }
};
