import { BackendUnavailableError } from '../../errors.ts';
import type { LLMError } from '../../errors.ts';
import type { HostBoard, HostView } from '../../limits/host-board.ts';
import type { ModelInfo, Part, Provider, ProviderHealth, ProviderRequest } from '../provider.ts';
import { untilAborted } from '../until-aborted.ts';
import type { OllamaModel } from './model-catalog.ts';
import type { PullTarget } from './model-pulls.ts';
import { toFullModelName } from '../../conversation/model-name.ts';
import { toModelNotFound } from './ollama-errors.ts';
import { OllamaServer } from './ollama-server.ts';
import type { OllamaServerOptions, ServerOptions } from './ollama-server.ts';

export type { OllamaLog } from './host-watch.ts';

export interface OllamaOptions extends ServerOptions {
  /** One for each host, none twice; with a path and `user:password@` where there is a proxy in front. */
  readonly baseUrls: readonly string[];
  /** Whether messages to callers name the addresses. */
  readonly isAddressShown?: boolean;
  /** Runs the loads of a host, one at a time perhaps; each at once by default. */
  readonly runChore?: <Result>(host: string, chore: () => Promise<Result>) => Promise<Result>;
}

/** A host that takes longer to say what it has is not waited for when another has the model. */
const PATIENCE_MS = 300;

/** Models on Ollama servers, be it one or many: each model is asked where it answers first. */
export class OllamaProvider implements Provider, HostBoard, AsyncDisposable {
  readonly name = 'ollama';
  readonly #options: OllamaOptions;
  readonly #servers: readonly OllamaServer[];
  readonly #listeners = new Set<() => void>();

  constructor(options: OllamaOptions) {
    this.#options = options;
    this.#servers = options.baseUrls.map((baseUrl, index) => new OllamaServer(this.#toServerOptions(baseUrl, index)));
  }

  get hosts(): readonly string[] {
    return this.#servers.map(({ host }) => host.address);
  }

  view(model: string): readonly HostView[] {
    return this.#servers.map((server) => server.view(model));
  }

  onChange(listener: () => void): Disposable {
    const own = (): void => listener();
    this.#listeners.add(own);
    return { [Symbol.dispose]: () => void this.#listeners.delete(own) };
  }

  /** Whether a host that is not one of `tried` can be asked for the model. */
  hasOtherHost(model: string, tried: ReadonlySet<string>): boolean {
    return this.view(model).some(({ host, hasModel, state }) => hasModel && state !== 'away' && !tried.has(host));
  }

  /** At the host that the route names, else at the best one. */
  stream(request: ProviderRequest, signal: AbortSignal): AsyncGenerator<readonly Part[], void> {
    const routed = this.#servers.find(({ host }) => host.address === request.route?.host);
    return routed ? routed.stream(request, signal) : this.#streamAtBest(request, signal);
  }

  async findModel(name: string): Promise<ModelInfo> {
    await this.#learn(name);
    // A model may have been pulled a second ago: before it is refused, the hosts that answer are asked again.
    if (this.#having(name).length === 0) await Promise.all(this.#answering.map(({ watch }) => watch.learnModels(0)));
    const having = this.#having(name);
    if (having.length === 0) throw this.#toMissing(name);
    if (having.every(({ state }) => state === 'away')) await Promise.all(having.map(({ watch }) => watch.askEarly()));
    if (!having.some((server) => server.state !== 'away' || server.watch.isBelieved)) throw toAwayError(having);
    return this.#describe(name, having);
  }

  /** The first host that can be asked, to be given a model; who was silent, only when nobody else is there. */
  get pullTarget(): PullTarget | undefined {
    const answering = this.#servers.filter(({ state }) => state !== 'away');
    const server = answering.find(({ state }) => state !== 'suspect') ?? answering[0];
    return server && { name: server.host.address, pull: (model, options) => server.pull(model, options) };
  }

  async listModels(): Promise<readonly ModelInfo[]> {
    await this.#learn();
    const servers = this.#servers.filter((server) => server.state !== 'away' || server.watch.isBelieved);
    const listed = await Promise.all(
      servers.map(async ({ catalog, state }) => (state === 'away' ? catalog.models : catalog.list())),
    );
    const models = new Map<string, OllamaModel>();
    for (const model of listed.flat())
      if (!models.has(toFullModelName(model.name))) models.set(toFullModelName(model.name), model);
    return [...models.values()].map((model) => this.#toInfo(model, rank(this.#having(model.name), model.name)));
  }

  async health(): Promise<ProviderHealth> {
    const hosts = await Promise.all(this.#servers.map((server) => server.check()));
    const up = hosts.find(({ status }) => status !== 'down');
    const { host, version, hint } = up ?? hosts[0]!; // there is one host at least
    const down = hosts.filter(({ status }) => status === 'down');
    const told = up && down.length > 0 ? [...down.map((each) => each.hint), 'The others answer.'].join(' ') : hint;
    return {
      status: up ? 'up' : 'down',
      host,
      ...(version !== undefined && { version }),
      ...(told !== undefined && { hint: told }),
      hosts,
    };
  }

  seek(model: string): void {
    for (const { state, watch } of this.#having(model)) if (state === 'away') void watch.askEarly();
  }

  /**
   * Has each host load the model once, the first time that it can be asked and has it, and says in the log how that
   * goes. Resolves when it is loaded where it is now. It never throws.
   */
  async preload(name: string): Promise<void> {
    const loads = new Map<OllamaServer, Promise<void>>();
    const loadWhereItIs = (): void => {
      for (const server of this.#having(name))
        if (server.state !== 'away' && !loads.has(server)) loads.set(server, this.#preload(server, name));
    };
    this.onChange(loadWhereItIs); // as long as the provider lives
    await this.#learn();
    loadWhereItIs();
    const { log } = this.#options;
    if (loads.size === 0) log?.warn({ model: name }, 'no host has the model that was to be loaded');
    await Promise.all(loads.values());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listeners.clear();
    await Promise.all(this.#servers.map((server) => server[Symbol.asyncDispose]()));
  }

  async #preload(server: OllamaServer, model: string): Promise<void> {
    const { clock, log } = this.#options;
    const host = server.host.address;
    const begunAt = clock.elapsed();
    log?.info({ host, model }, 'loading the model');
    try {
      await server.preload(model);
      log?.info({ host, model, seconds: (clock.elapsed() - begunAt) / 1000 }, 'the model is loaded');
    } catch (error) {
      log?.warn({ host, model, err: error }, 'the model could not be loaded');
    }
  }

  #toServerOptions(baseUrl: string, index: number): OllamaServerOptions {
    const { isAddressShown = true, baseUrls, runChore, ...common } = this.#options;
    const alias = baseUrls.length === 1 ? 'its address (OLLAMA_BASE_URL)' : `host ${index + 1} of OLLAMA_BASE_URL`;
    const run = runChore && (<Result>(chore: () => Promise<Result>) => runChore(this.hosts[index] ?? '', chore));
    return {
      ...common,
      baseUrl,
      ...(!isAddressShown && { alias }),
      ...(run && { runChore: run }),
      onChange: () => {
        for (const listener of this.#listeners) listener();
      },
    };
  }

  async *#streamAtBest(request: ProviderRequest, signal: AbortSignal): AsyncGenerator<readonly Part[], void> {
    signal.throwIfAborted();
    const { model } = request;
    if (!this.hasOtherHost(model, NONE)) await untilAborted(this.findModel(model), signal);
    const having = this.#having(model);
    const best = rank(having, model).find(({ state }) => state !== 'away');
    if (!best) throw toAwayError(having);
    yield* best.stream(request, signal);
  }

  /**
   * Sees to it that what is known is fresh, of all hosts; those that take their time are not waited for when another
   * one has the model. Without a name nobody is waited for.
   */
  async #learn(name?: string): Promise<void> {
    const { promise: enough, resolve } = Promise.withResolvers<void>();
    let isLate = false;
    const check = (): void => {
      if (isLate && (name === undefined ? this.#servers.length > 1 : this.#isUsable(name))) resolve();
    };
    const questions = this.#servers.map(async (server) => {
      await server.watch.learnModels();
      check();
      await server.learnLoaded();
      check();
    });
    const limit = this.#options.deadlines.start(PATIENCE_MS, () => {
      isLate = true;
      check();
    });
    try {
      await Promise.race([Promise.all(questions), enough]);
    } finally {
      limit[Symbol.dispose]();
    }
  }

  #isUsable(name: string): boolean {
    return this.view(name).some(({ hasModel, state }) => hasModel && (state === 'up' || state === 'trial'));
  }

  get #answering(): readonly OllamaServer[] {
    return this.#servers.filter(({ state }) => state !== 'away');
  }

  /** In the order of the settings. */
  #having(name: string): readonly OllamaServer[] {
    return this.#servers.filter(({ catalog }) => catalog.recall(name) !== undefined);
  }

  /** The best host's own word; where it fails to say it, the next one's. */
  async #describe(name: string, having: readonly OllamaServer[]): Promise<ModelInfo> {
    const ranked = rank(having, name);
    let failure: unknown;
    for (const { catalog, state } of ranked) {
      try {
        const remembered = state === 'away' ? catalog.recall(name) : undefined;
        return this.#toInfo(remembered ?? (await catalog.find(name)), ranked);
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }

  /** `ranked` has the model, the best first. */
  #toInfo({ name, contextWindow, capabilities }: OllamaModel, ranked: readonly OllamaServer[]): ModelInfo {
    const views = this.view(name).filter(({ hasModel }) => hasModel);
    const hosts = views.map(({ host, isLoaded, state }) => ({ host, loaded: isLoaded && state !== 'away' }));
    const host = ranked[0]?.host.address;
    return {
      name,
      provider: this.name,
      ...(host !== undefined && { host }),
      hosts,
      loaded: hosts.some(({ loaded }) => loaded),
      contextWindow,
      capabilities,
    };
  }

  /** No host has the model: because they say so, or because none says anything. */
  #toMissing(model: string): LLMError {
    const answering = this.#answering;
    if (answering.length === 0) return toSilent(this.#servers);
    return toModelNotFound({
      address: [...new Set(answering.map(({ host }) => host.shownAddress))].join(' and '),
      model,
      available: [...new Set(answering.flatMap(({ catalog }) => catalog.namesBut(model)))],
    });
  }
}

const NONE: ReadonlySet<string> = new Set();

const STATES: readonly HostView['state'][] = ['up', 'trial', 'suspect', 'away'];

/** The best first: who can be asked, has the model loaded, and has the least to do. */
const rank = (servers: readonly OllamaServer[], model: string): readonly OllamaServer[] =>
  servers
    .map((server) => ({ server, view: server.view(model) }))
    .toSorted(
      (one, other) =>
        STATES.indexOf(one.view.state) - STATES.indexOf(other.view.state) ||
        Number(other.view.isLoaded) - Number(one.view.isLoaded) ||
        one.server.running - other.server.running,
    )
    .map(({ server }) => server);

/** Those who have the model cannot be asked: the one that may be back first says when. */
const toAwayError = (having: readonly OllamaServer[]): LLMError =>
  having.toSorted((one, other) => one.watch.waitMs - other.watch.waitMs)[0]!.watch.toAwayError();

/** None says which models it has: what the only one said, or what one of many did. */
const toSilent = (servers: readonly OllamaServer[]): LLMError => {
  const errors = servers.flatMap(({ watch }) => watch.error ?? []);
  const unavailable = errors.find((error) => error instanceof BackendUnavailableError);
  return unavailable ?? errors[0] ?? servers[0]!.watch.toAwayError();
};
