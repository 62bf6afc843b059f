import type { Clock } from '../../clock.ts';
import type { Deadlines } from '../../deadlines.ts';
import { LLMError, ModelNotFoundError } from '../../errors.ts';
import type { ModelInfo, Part, Provider, ProviderHealth, ProviderRequest } from '../provider.ts';
import { untilAborted } from '../until-aborted.ts';
import { toChatBody } from './chat-body.ts';
import type { KeepAlive } from './chat-body.ts';
import { streamChat } from './chat-stream.ts';
import { ModelCatalog } from './model-catalog.ts';
import type { OllamaModel } from './model-catalog.ts';
import { ModelLoader } from './model-loader.ts';
import type { Readiness, RunChore } from './model-loader.ts';
import { isSameModel } from '../../conversation/model-name.ts';
import { OllamaHost } from './ollama-host.ts';

export interface OllamaOptions {
  /** With a path and `user:password@` where there is a proxy in front. */
  readonly baseUrl: string;
  /** Whether messages to callers name the address. */
  readonly isAddressShown?: boolean;
  /** Tokens: what is asked for where the model was trained with as many. */
  readonly contextWindow: number;
  /** How long a model stays in memory after its last answer. */
  readonly keepAlive: KeepAlive;
  /** How long a model that is loaded may say nothing. */
  readonly silenceMs: number;
  readonly loadTimeoutMs: number;
  readonly connectTimeoutMs?: number;
  /** Runs the loads, one at a time perhaps; each at once by default. */
  readonly runChore?: RunChore;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly log?: OllamaLog;
}

export interface OllamaLog {
  warn(fields: Readonly<Record<string, unknown>>, sentence: string): void;
}

const CONNECT_TIMEOUT_MS = 2_000;
/** A model that Ollama shows and that answers within this time was loaded: no word about loading. */
const LOADED_MS = 500;
/** What is shown beside a model is not worth a longer wait. */
const GLANCE_MS = 500;

/**
 * Models on one Ollama server. A model is loaded before it is asked, by a request that nobody's leaving aborts;
 * so the clock of the answer itself can be short.
 */
export class OllamaProvider implements Provider, AsyncDisposable {
  readonly name = 'ollama';
  readonly #options: OllamaOptions;
  readonly #host: OllamaHost;
  readonly #catalog: ModelCatalog;
  readonly #loader: ModelLoader;

  constructor(options: OllamaOptions) {
    this.#options = options;
    const { connectTimeoutMs = CONNECT_TIMEOUT_MS } = options;
    this.#host = new OllamaHost({ ...options, connectTimeoutMs });
    this.#catalog = new ModelCatalog({ ...options, host: this.#host });
    this.#loader = new ModelLoader({ ...options, host: this.#host });
  }

  async *stream(request: ProviderRequest, signal: AbortSignal): AsyncGenerator<readonly Part[], void> {
    signal.throwIfAborted();
    const known = await untilAborted(this.#catalog.recall(request.model), signal);
    const model = { ...known, contextWindow: Math.min(request.contextWindow, known.trainedLength) };
    try {
      const readiness = yield* this.#load(model, signal);
      for await (const parts of this.#chat(request, model, readiness, signal)) {
        yield parts;
        if (parts.some(({ type }) => type === 'finish')) this.#loader.confirm(model);
      }
    } catch (error) {
      if (error instanceof ModelNotFoundError) this.#catalog.forget();
      if (!signal.aborted) this.#loader.doubt(model);
      throw error;
    }
  }

  async findModel(name: string): Promise<ModelInfo> {
    const [model, running] = await Promise.all([this.#catalog.find(name), this.#loader.running(GLANCE_MS)]);
    return this.#toInfo(model, running);
  }

  async listModels(): Promise<readonly ModelInfo[]> {
    try {
      const [models, running] = await Promise.all([this.#catalog.list(), this.#loader.running(GLANCE_MS)]);
      return models.map((model) => this.#toInfo(model, running));
    } catch (error) {
      this.#options.log?.warn({ host: this.#host.address, err: error }, 'the models of a host are not known');
      return [];
    }
  }

  async health(): Promise<ProviderHealth> {
    const host = this.#host.address;
    try {
      const { version } = await this.#host.ask((client) => client.version());
      return { status: 'up', host, version };
    } catch (error) {
      return { status: 'down', host, hint: error instanceof LLMError ? error.message : 'The log says more.' };
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#loader[Symbol.dispose]();
    await this.#host[Symbol.asyncDispose]();
  }

  /** Sees to it that the model is in memory, and says so where that takes its time. */
  async *#load(model: OllamaModel, signal: AbortSignal): AsyncGenerator<readonly Part[], Readiness> {
    const { clock, deadlines } = this.#options;
    const arrivedAt = clock.now();
    const readiness = await untilAborted(this.#loader.look(model), signal);
    if (readiness === 'absent' || readiness === 'unsure') {
      const load = this.#loader.load(model);
      const isQuick = readiness === 'unsure' && (await isDoneWithin(load.done, LOADED_MS, deadlines));
      if (!isQuick) yield [{ type: 'status', status: { state: 'model_loading', since: load.since } }];
      await untilAborted(load.done, signal);
    }
    yield [{ type: 'status', status: { state: 'generating', loadMs: clock.now() - arrivedAt } }];
    return readiness;
  }

  #chat(request: ProviderRequest, model: OllamaModel, readiness: Readiness, signal: AbortSignal) {
    const { deadlines, silenceMs, loadTimeoutMs, keepAlive, log } = this.#options;
    return streamChat({
      host: this.#host,
      deadlines,
      body: toChatBody(request, model, keepAlive),
      asked: {
        address: this.#host.shownAddress,
        model: request.model,
        available: this.#catalog.namesBut(request.model),
      },
      signal,
      silenceMs,
      loadTimeoutMs,
      firstLineMs: readiness === 'unknown' ? Math.max(loadTimeoutMs, silenceMs) : silenceMs,
      // Evicted in between, or nobody can tell: then it may be loading, and a load is not silence.
      isLoading: async () => ['absent', 'unknown'].includes(await this.#loader.look(model)),
      onToolCall: () => log?.warn({ model: model.name }, 'a model called a tool that nobody had offered'),
    });
  }

  #toInfo({ name, contextWindow, capabilities }: OllamaModel, running: readonly string[]): ModelInfo {
    const loaded = running.some((each) => isSameModel(each, name));
    return { name, provider: this.name, host: this.#host.address, loaded, contextWindow, capabilities };
  }
}

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
