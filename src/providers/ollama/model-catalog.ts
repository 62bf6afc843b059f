import type { Clock } from '../../clock.ts';
import type { Capability } from '../provider.ts';
import { BackendUnavailableError } from '../../errors.ts';
import { isObject } from './line-reader.ts';
import { isSameModel, toFullModelName } from '../../conversation/model-name.ts';
import { toModelNotFound } from './ollama-errors.ts';
import type { OllamaHost } from './ollama-host.ts';

/** A model that the host has. */
export interface OllamaModel {
  /** As the host lists it, with its tag. */
  readonly name: string;
  readonly family: string;
  /** Tokens: what is asked for, never more than the model was trained with. */
  readonly contextWindow: number;
  /** Tokens: the longest window that the model knows; infinite where the host does not say. */
  readonly trainedLength: number;
  readonly capabilities: readonly Capability[];
}

export interface ModelCatalogOptions {
  readonly host: OllamaHost;
  readonly clock: Clock;
  /** Tokens, as configured. */
  readonly contextWindow: number;
}

/** One line of `/api/tags`. */
interface Listed {
  readonly name: string;
  readonly digest: string;
  readonly family: string;
  readonly trainedLength?: number;
  readonly capabilities?: readonly Capability[];
}

/** What `/api/show` adds: it knows the capabilities better than the list does. */
type Shown = Pick<Listed, 'trainedLength' | 'capabilities'>;

const FRESH_MS = 2_000;
/** For so long after a host was last lost, its models are believed to be there still. */
const BELIEVED_MS = 60_000;

/** The models of one host: `/api/tags`, kept for a moment, and `/api/show`, kept as long as the digest is the same. */
export class ModelCatalog {
  readonly #host: OllamaHost;
  readonly #clock: Clock;
  readonly #contextWindow: number;
  readonly #shown = new Map<string, Promise<Shown>>();
  #listed: readonly Listed[] | undefined;
  #listedAt = 0;
  #lostAt: number | undefined;
  #flight: Promise<readonly Listed[]> | undefined;

  constructor({ host, clock, contextWindow }: ModelCatalogOptions) {
    this.#host = host;
    this.#clock = clock;
    this.#contextWindow = contextWindow;
  }

  /**
   * The model of that name, as the host says now or a moment ago.
   * @throws ModelNotFoundError
   * @throws BackendUnavailableError
   */
  async find(name: string): Promise<OllamaModel> {
    const known = pick(await this.#list(FRESH_MS), name);
    // A model may have been pulled a second ago: before it is refused, the host is asked again.
    const listed = known ?? pick(await this.#list(0), name);
    if (!listed)
      throw toModelNotFound({ address: this.#host.shownAddress, model: name, available: this.namesBut(name) });
    return this.#describe(listed, await this.#show(listed));
  }

  /** The same, from memory when the model is known at all: for a chat whose model has just been found. */
  async recall(name: string): Promise<OllamaModel> {
    const listed = this.#listed && pick(this.#listed, name);
    return listed ? this.#describe(listed, await this.#show(listed)) : this.find(name);
  }

  /** All models. Where `/api/show` fails, the list's own word counts. */
  async list(): Promise<readonly OllamaModel[]> {
    const listed = await this.#list(FRESH_MS);
    return Promise.all(
      listed.map(async (each) => this.#describe(each, await this.#show(each).catch((): Shown => ({})))),
    );
  }

  /** What the host has beside the one named, as people type it. */
  namesBut(name: string): readonly string[] {
    const others = (this.#listed ?? []).filter((each) => !isSameModel(each.name, name));
    return others.map((each) => each.name.replace(/:latest$/, ''));
  }

  /** What was known no longer holds: the next one asks the host. */
  forget(): void {
    this.#listed = undefined;
  }

  #describe(listed: Listed, shown: Shown): OllamaModel {
    const trainedLength = shown.trainedLength ?? listed.trainedLength ?? Number.POSITIVE_INFINITY;
    return {
      name: listed.name,
      family: listed.family,
      contextWindow: Math.min(this.#contextWindow, trainedLength),
      trainedLength,
      // Hosts older than the field have models that chat and do nothing else.
      capabilities: shown.capabilities ?? listed.capabilities ?? ['completion'],
    };
  }

  async #list(maxAgeMs: number): Promise<readonly Listed[]> {
    if (this.#listed && this.#clock.now() - this.#listedAt < maxAgeMs) return this.#listed;
    this.#flight ??= this.#askList().finally(() => (this.#flight = undefined));
    return this.#flight;
  }

  async #askList(): Promise<readonly Listed[]> {
    try {
      const listed = parseList(await this.#host.ask((client) => client.list()));
      this.#keep(listed);
      return listed;
    } catch (error) {
      return this.#believe(error);
    }
  }

  #keep(listed: readonly Listed[]): void {
    this.#listed = listed;
    this.#listedAt = this.#clock.now();
    this.#lostAt = undefined;
    const digests = new Set(listed.map((each) => each.digest));
    for (const digest of this.#shown.keys()) if (!digests.has(digest)) this.#shown.delete(digest);
  }

  /** A host that has only just gone away may be back before the chat has used up its retries. */
  #believe(error: unknown): readonly Listed[] {
    this.#lostAt ??= this.#clock.now();
    const isShortOutage = error instanceof BackendUnavailableError && this.#clock.now() - this.#lostAt < BELIEVED_MS;
    if (this.#listed && isShortOutage) return this.#listed;
    throw error;
  }

  #show({ name, digest }: Listed): Promise<Shown> {
    const known = this.#shown.get(digest);
    if (known) return known;
    const asked = this.#host.ask(async (client) => parseShow(await client.show({ model: name })), {
      asked: { model: name },
    });
    this.#shown.set(digest, asked);
    asked.catch(() => this.#shown.delete(digest)); // a failure is not kept: the next one asks again
    return asked;
  }
}

const pick = (listed: readonly Listed[], name: string): Listed | undefined =>
  listed.find((each) => isSameModel(each.name, name));

const parseList = (answer: unknown): readonly Listed[] => {
  const models = isObject(answer) && Array.isArray(answer['models']) ? answer['models'] : [];
  return models.filter(isObject).flatMap((model) => {
    const { name, digest, details } = model;
    if (typeof name !== 'string') return [];
    const { family, context_length: trainedLength } = isObject(details) ? details : {};
    const isCounted = typeof trainedLength === 'number' && trainedLength > 0;
    const capabilities = toCapabilities(model['capabilities']);
    return {
      name,
      digest: typeof digest === 'string' ? digest : toFullModelName(name),
      family: typeof family === 'string' ? family : '',
      ...(isCounted ? { trainedLength } : {}),
      ...(capabilities ? { capabilities } : {}),
    };
  });
};

const parseShow = (answer: unknown): Shown => {
  if (!isObject(answer)) return {};
  // In /api/show's JSON a map, whatever the package's types say.
  const info = isObject(answer['model_info']) ? answer['model_info'] : {};
  const trainedLength = info[`${String(info['general.architecture'])}.context_length`];
  const capabilities = toCapabilities(answer['capabilities']);
  return {
    ...(typeof trainedLength === 'number' && trainedLength > 0 ? { trainedLength } : {}),
    ...(capabilities ? { capabilities } : {}),
  };
};

const KNOWN: readonly Capability[] = ['completion', 'tools', 'thinking', 'vision'];

const toCapabilities = (value: unknown): readonly Capability[] | undefined =>
  Array.isArray(value) ? KNOWN.filter((capability) => value.includes(capability)) : undefined;
