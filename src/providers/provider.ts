import type { Channel, FinishReason } from '../conversation/reply-event.ts';

/** One message of a prompt. */
export interface PromptMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
  /** Base64. */
  readonly images?: readonly string[];
}

/** How the model chooses its words; absent is the model's own default. */
export interface SamplingOptions {
  readonly temperature?: number;
  readonly topP?: number;
  readonly topK?: number;
  readonly minP?: number;
  readonly seed?: number;
  readonly stop?: readonly string[];
  readonly presencePenalty?: number;
  readonly frequencyPenalty?: number;
  readonly repeatPenalty?: number;
}

export type Think = boolean | 'low' | 'medium' | 'high' | 'max';

/** `json`, or a JSON Schema that the answer must meet. */
export type Format = 'json' | Readonly<Record<string, unknown>>;

/** What a provider is asked. */
export interface ProviderRequest {
  readonly model: string;
  readonly messages: readonly PromptMessage[];
  readonly maxTokens: number;
  readonly sampling: SamplingOptions;
  readonly think: Think;
  readonly format?: Format;
  /** Tokens: prompt and answer together. */
  readonly contextWindow: number;
  /** The answer so far, with which the model goes on: what is yielded is new text only. */
  readonly prefill?: string;
  /** Where to ask; absent, the provider asks where it likes. */
  readonly route?: Route;
}

/** The host that a request is made at, given by who counts the hosts' slots. */
export interface Route {
  /** By the name that `ModelInfo.hosts` has. */
  readonly host: string;
  /**
   * This host has failed: resolves when another one, or the same where there is no other, has a slot for the request.
   * @throws the signal's reason, or an LLMError when there was none in time
   */
  next(signal: AbortSignal): Promise<void>;
}

/** What a provider says: any number of statuses and deltas, then one finish. */
export type Part =
  | { readonly type: 'status'; readonly status: ProviderStatus }
  | {
      readonly type: 'text-delta';
      readonly channel: Channel;
      readonly text: string;
      /** How many of the backend's deltas it joins, for who counts tokens; absent for one. */
      readonly deltas?: number;
    }
  | {
      readonly type: 'finish';
      readonly finishReason: Extract<FinishReason, 'stop' | 'length' | 'repetition'>;
      /** Absent where the backend did not count. */
      readonly promptTokens?: number;
      readonly completionTokens?: number;
    };

export type ProviderStatus =
  | ModelLoading
  | { readonly state: 'generating'; /** How long the model took to load. */ readonly loadMs: number }
  | { readonly state: 'retrying'; /** 1 is the first try after the first attempt. */ readonly attempt: number };

/** A model on its way into memory; with figures, while it is downloaded first. */
export interface ModelLoading extends PullProgress {
  readonly state: 'model_loading';
  /** By `Clock.elapsed`. */
  readonly since: number;
}

/** How much of a model has been downloaded; absent before the first of its parts is known. */
export interface PullProgress {
  readonly completedBytes?: number;
  /** Of the parts that are known so far: it may rise. */
  readonly totalBytes?: number;
}

export interface ModelInfo {
  readonly name: string;
  readonly provider: string;
  /** The host that has it; of several the one that would answer first. */
  readonly host?: string;
  /** All that have it, in the order of the settings. */
  readonly hosts?: readonly ModelHost[];
  /** On one host at least. */
  readonly loaded: boolean;
  /** Tokens, as it is used here. */
  readonly contextWindow: number;
  readonly capabilities: readonly Capability[];
  /** No host has it: `pull` gets it, and what it can do is known only then. */
  readonly isMissing?: true;
}

export interface ModelHost {
  readonly host: string;
  readonly loaded: boolean;
}

export type Capability = 'completion' | 'tools' | 'thinking' | 'vision';

export interface ProviderHealth {
  /** `up` when any host is. */
  readonly status: 'up' | 'down';
  /** The first that is up; the first of all when none is. */
  readonly host?: string;
  readonly version?: string;
  /** What to do about it, for people. */
  readonly hint?: string;
  /** In the order of the settings. */
  readonly hosts?: readonly HostHealth[];
}

export interface HostHealth {
  readonly host: string;
  /** `suspect`: it was silent, and is asked when no other can be. `trial`: it failed, and the next reply shows. */
  readonly status: 'up' | 'suspect' | 'trial' | 'down';
  readonly version?: string;
  /** The names of those that it has, and of those in its memory. */
  readonly models: readonly string[];
  readonly loaded: readonly string[];
  readonly hint?: string;
}

/**
 * A kind of model backend. It throws only `LLMError`s, with no foreign text in their messages, and ends its
 * work when the signal aborts (the iterator then rejects with the signal's reason, once the backend is let go).
 */
export interface Provider {
  readonly name: string;
  /** Yields arrays, what one read brought: a layer costs per read, not per token. */
  stream(request: ProviderRequest, signal: AbortSignal): AsyncIterable<readonly Part[]>;
  /**
   * The model that a caller's name means.
   * @throws ModelNotFoundError naming the models there are and the command to type
   * @throws BackendUnavailableError when nothing answers
   */
  findModel(name: string): Promise<ModelInfo>;
  /**
   * Gets a model that is missing, or joins who is getting it: tells how far it is, about once a second, and ends when
   * it is there. Nothing is told of a model that is there. The download is the provider's own: no signal ends it.
   * @throws ModelNotFoundError when there is no such model anywhere
   * @throws BackendUnavailableError
   */
  readonly pull?: ((model: string, signal: AbortSignal) => AsyncIterable<ModelLoading>) | undefined;
  /** All models there are; empty when nothing answers. */
  listModels(): Promise<readonly ModelInfo[]>;
  health(): Promise<ProviderHealth>;
}
