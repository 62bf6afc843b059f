import type { Clock } from '../../clock.ts';
import type { Capability } from '../provider.ts';
import { isObject } from './line-reader.ts';
import { isSameModel, toFullModelName } from '../../conversation/model-name.ts';
import { toModelNotFound } from './ollama-errors.ts';
import type { OllamaHost } from './ollama-host.ts';

/** A model that the host has. */
export interface OllamaModel {
  /** As the host lists it, with its tag. */
  readonly name: string;
  /** Of its weights and its template: another one is another model. */
  readonly digest: string;
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
  /** Called when the host has other models than before. */
  readonly onChange?: () => void;
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

/** What is known of a host is asked for at most this often. */
export const FRESH_MS = 2_000;
/** A host that takes longer to say which models it has may not answer at all. */
const LATE_MS = 300;

/** The models of one host: `/api/tags`, kept for a moment, and `/api/show`, kept as long as the digest is the same. */
export class ModelCatalog {
  readonly #options: ModelCatalogOptions;
  readonly #asked = new Map<string, Promise<Shown>>();
  readonly #shown = new Map<string, Shown>();
  /** By the one name that all ways to write it have. */
  #listed: ReadonlyMap<string, Listed> | undefined;
  /** When the last question was answered, or given up. */
  #askedAt = Number.NEGATIVE_INFINITY;
  #flight: { readonly since: number; readonly answer: Promise<void> } | undefined;

  constructor(options: ModelCatalogOptions) {
    this.#options = options;
  }

  /** Whether the host has ever said which models it has. */
  get isKnown(): boolean {
    return this.#listed !== undefined;
  }

  /** Whether the host takes longer than it should to say which models it has. */
  get isLate(): boolean {
    return this.#flight !== undefined && this.#options.clock.elapsed() - this.#flight.since >= LATE_MS;
  }

  /** As the host lists them; empty before it did. */
  get names(): readonly string[] {
    return this.#all.map(({ name }) => name);
  }

  /**
   * Sees to it that what is known is no older than that. A host that has never answered is always asked.
   * @throws LLMError what became of the question, where there was one
   */
  async refresh(maxAgeMs = FRESH_MS, limitMs?: number): Promise<void> {
    const { clock } = this.#options;
    if (this.#listed && clock.elapsed() - this.#askedAt < maxAgeMs) return;
    this.#flight ??= { since: clock.elapsed(), answer: this.#ask(limitMs) };
    await this.#flight.answer;
  }

  /** The model of that name, from memory; undefined when the host does not have it, or was never asked. */
  recall(name: string): OllamaModel | undefined {
    const listed = this.#listed?.get(toFullModelName(name));
    return listed && this.#describe(listed, this.#shown.get(listed.digest) ?? {});
  }

  /**
   * The same with what the host says of it: asked for once.
   * @throws LLMError
   */
  async find(name: string): Promise<OllamaModel> {
    if (!this.#listed) await this.refresh();
    const listed = this.#listed?.get(toFullModelName(name));
    if (listed) return this.#describe(listed, await this.#show(listed));
    const address = this.#options.host.shownAddress;
    throw toModelNotFound({ address, model: name, available: this.namesBut(name) });
  }

  /** All models, from memory. */
  get models(): readonly OllamaModel[] {
    return this.#all.map((each) => this.#describe(each, this.#shown.get(each.digest) ?? {}));
  }

  /** All models. Where `/api/show` fails, the list's own word counts. */
  async list(): Promise<readonly OllamaModel[]> {
    return Promise.all(
      this.#all.map(async (each) => this.#describe(each, await this.#show(each).catch((): Shown => ({})))),
    );
  }

  /** What the host has beside the one named, as people type it. */
  namesBut(name: string): readonly string[] {
    const not = toFullModelName(name);
    const others = [...(this.#listed ?? [])].filter(([full]) => full !== not);
    return others.map(([, each]) => each.name.replace(/:latest$/, ''));
  }

  /** The host has said that it does not have it: the next one who looks for it asks again. */
  forget(name: string): void {
    this.#askedAt = Number.NEGATIVE_INFINITY;
    this.#keep(this.#all.filter((each) => !isSameModel(each.name, name)));
  }

  get #all(): readonly Listed[] {
    return [...(this.#listed?.values() ?? [])];
  }

  #describe(listed: Listed, shown: Shown): OllamaModel {
    const trainedLength = shown.trainedLength ?? listed.trainedLength ?? Number.POSITIVE_INFINITY;
    return {
      name: listed.name,
      digest: listed.digest,
      family: listed.family,
      contextWindow: Math.min(this.#options.contextWindow, trainedLength),
      trainedLength,
      // Hosts older than the field have models that chat and do nothing else.
      capabilities: shown.capabilities ?? listed.capabilities ?? ['completion'],
    };
  }

  async #ask(limitMs: number | undefined): Promise<void> {
    const { host, clock } = this.#options;
    try {
      this.#keep(parseList(await host.ask((client) => client.list(), limitMs === undefined ? {} : { limitMs })));
    } finally {
      this.#askedAt = clock.elapsed();
      this.#flight = undefined;
    }
  }

  #keep(listed: readonly Listed[]): void {
    const before = this.names;
    this.#listed = new Map(listed.map((each) => [toFullModelName(each.name), each]));
    const digests = new Set(listed.map((each) => each.digest));
    for (const digest of this.#asked.keys()) {
      if (digests.has(digest)) continue;
      this.#asked.delete(digest);
      this.#shown.delete(digest);
    }
    if (this.names.join() !== before.join()) this.#options.onChange?.();
  }

  #show({ name, digest }: Listed): Promise<Shown> {
    const known = this.#asked.get(digest);
    if (known) return known;
    const asked = this.#options.host.ask(async (client) => parseShow(await client.show({ model: name })), {
      asked: { model: name },
    });
    this.#asked.set(digest, asked);
    asked.then(
      (shown) => this.#asked.has(digest) && this.#shown.set(digest, shown),
      () => this.#asked.delete(digest), // a failure is not kept: the next one asks again
    );
    return asked;
  }
}

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
