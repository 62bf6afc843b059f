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
}

/** What a provider says: any number of statuses and deltas, then one finish. */
export type Part =
  | { readonly type: 'status'; readonly status: ProviderStatus }
  | { readonly type: 'text-delta'; readonly channel: Channel; readonly text: string }
  | {
      readonly type: 'finish';
      readonly finishReason: Extract<FinishReason, 'stop' | 'length' | 'repetition'>;
      /** Absent where the backend did not count. */
      readonly promptTokens?: number;
      readonly completionTokens?: number;
    };

export type ProviderStatus =
  | { readonly state: 'model_loading'; readonly since: number }
  | { readonly state: 'generating'; /** How long the model took to load. */ readonly loadMs: number }
  | { readonly state: 'retrying'; /** 1 is the first try after the first attempt. */ readonly attempt: number };

export interface ModelInfo {
  readonly name: string;
  readonly provider: string;
  /** The host that has it. */
  readonly host?: string;
  readonly loaded: boolean;
  /** Tokens, as it is used here. */
  readonly contextWindow: number;
  readonly capabilities: readonly Capability[];
}

export type Capability = 'completion' | 'tools' | 'thinking' | 'vision';

export interface ProviderHealth {
  readonly status: 'up' | 'down';
  readonly host?: string;
  readonly version?: string;
  /** What to do about it, for people. */
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
  /** All models there are; empty when nothing answers. */
  listModels(): Promise<readonly ModelInfo[]>;
  health(): Promise<ProviderHealth>;
}
