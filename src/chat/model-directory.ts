import { BackendUnavailableError, ModelNotFoundError, toLLMError } from '../errors.ts';
import type { HostBoard } from '../limits/host-board.ts';
import type { ModelInfo, Provider, ProviderHealth } from '../providers/provider.ts';
import { isSameModel, toFullModelName } from '../conversation/model-name.ts';
import type { Conversation } from '../stores/chat-store.ts';

export interface ModelDirectoryParts {
  readonly provider: Provider;
  /** The provider's hosts. */
  readonly board: HostBoard;
  /** Answers while the provider has never been heard of; absent in production. */
  readonly fallback?: Provider;
  readonly defaultModel: string;
  /** What callers may name. */
  readonly allowedModels: readonly string[];
}

export interface ChosenModel {
  readonly provider: Provider;
  /** As it was asked for. */
  readonly name: string;
  readonly info: ModelInfo;
  /** It stands in: no host is asked. */
  readonly isFallback: boolean;
}

/** Which model answers: what may be named, what is there, and who stands in until the backend is. */
export class ModelDirectory {
  readonly #parts: ModelDirectoryParts;
  #hasAnswered = false;

  constructor(parts: ModelDirectoryParts) {
    this.#parts = parts;
  }

  /** Whether the fallback answers who names no model. */
  get isFallback(): boolean {
    return this.#parts.fallback !== undefined && !this.#hasAnswered;
  }

  get providerName(): string {
    return this.#parts.provider.name;
  }

  get fallbackName(): string | undefined {
    return this.isFallback ? this.#parts.fallback?.name : undefined;
  }

  /** The hosts, and whether each can be asked, as far as is known. */
  get hosts(): readonly { readonly host: string; readonly isUp: boolean }[] {
    const { board, defaultModel } = this.#parts;
    return board.view(defaultModel).map(({ host, state }) => ({ host, isUp: state !== 'away' }));
  }

  /**
   * What a request asks for, by the one name that all ways to write it have.
   * @throws ModelNotFoundError when callers may not ask for it
   */
  wanted(named: string | undefined, conversation: Conversation | undefined): string {
    const name = named ?? conversation?.model ?? this.#parts.defaultModel;
    this.checkAllowed(name);
    return toFullModelName(name);
  }

  /**
   * The model for a request: the one named, else the conversation's own, else the default.
   * @throws ModelNotFoundError when it may not be named or is not there
   * @throws BackendUnavailableError when nothing answers, and nobody stands in
   */
  async choose(named: string | undefined, conversation: Conversation | undefined): Promise<ChosenModel> {
    const wanted = named ?? conversation?.model;
    const name = wanted ?? this.#parts.defaultModel;
    if (wanted !== undefined && this.isFallback && wanted === this.#parts.fallback?.name)
      return this.#standIn(conversation);
    this.checkAllowed(name);
    try {
      const info = await this.#parts.provider.findModel(name);
      this.#hasAnswered = true;
      return { provider: this.#parts.provider, name, info, isFallback: false };
    } catch (error) {
      if (error instanceof ModelNotFoundError) this.#hasAnswered = true;
      const isAway = error instanceof BackendUnavailableError;
      if (!isAway || wanted !== undefined || !this.isFallback || hasRealReply(conversation, this.#parts.fallback))
        throw error;
      return this.#standIn(conversation);
    }
  }

  /** @throws ModelNotFoundError when callers may not ask for `name` */
  checkAllowed(name: string): void {
    if (this.isAllowed(name)) return;
    const offered = this.#parts.allowedModels.join(', ');
    throw new ModelNotFoundError(
      `This service does not offer the model ${JSON.stringify(name)}. It offers: ${offered} (LLM_MODELS).`,
    );
  }

  /** Whether callers may ask for `name`. */
  isAllowed(name: string): boolean {
    return this.#parts.allowedModels.some((allowed) => isSameModel(allowed, name));
  }

  /** What can be asked for now. */
  async list(): Promise<readonly ModelInfo[]> {
    const { provider, fallback, allowedModels } = this.#parts;
    const found = await provider.listModels();
    if (found.length > 0) this.#hasAnswered = true;
    const offered = found.filter(({ name }) => allowedModels.some((allowed) => isSameModel(allowed, name)));
    return this.isFallback && fallback ? [...offered, ...(await fallback.listModels())] : offered;
  }

  /** Asks the backend how it is, and whether it has the default model; hears of it for the first time, perhaps. */
  async health(): Promise<ProviderHealth> {
    const { provider, defaultModel } = this.#parts;
    const health = await provider.health();
    if (health.status !== 'up') return health;
    this.#hasAnswered = true;
    const problem = await provider.findModel(defaultModel).then(
      ({ isMissing }) =>
        isMissing ? `The model ${defaultModel} is not there yet: replies wait for its download.` : undefined,
      (error: unknown) => toLLMError(error).message,
    );
    return problem === undefined ? health : { ...health, hint: [problem, health.hint ?? []].flat().join(' ') };
  }

  async #standIn(conversation: Conversation | undefined): Promise<ChosenModel> {
    const { fallback } = this.#parts;
    if (!fallback) throw toLLMError(new Error('there is no fallback'));
    if (hasRealReply(conversation, fallback)) {
      throw new ModelNotFoundError(`${fallback.name} does not go on with what a real model has begun.`);
    }
    return { provider: fallback, name: fallback.name, info: await fallback.findModel(fallback.name), isFallback: true };
  }
}

const hasRealReply = (conversation: Conversation | undefined, fallback: Provider | undefined): boolean =>
  conversation?.answeredBy !== undefined && conversation.answeredBy !== fallback?.name;
