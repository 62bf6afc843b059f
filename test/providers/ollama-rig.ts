import { Deadlines } from '../../src/deadlines.ts';
import { OllamaProvider } from '../../src/providers/ollama/ollama-provider.ts';
import type { OllamaOptions } from '../../src/providers/ollama/ollama-provider.ts';
import type { Part, ProviderRequest } from '../../src/providers/provider.ts';
import { systemClock, systemIds } from '../../src/system.ts';
import { ScriptedOllama } from '../support/scripted-ollama/scripted-ollama.ts';
import type { ScriptedOllamaOptions } from '../support/scripted-ollama/scripted-ollama.ts';

export interface OllamaRigOptions extends Partial<OllamaOptions> {
  /** Of another host than the scripted one. */
  readonly baseUrl?: string;
  readonly ollama?: ScriptedOllamaOptions;
}

/** A scripted Ollama and a provider that speaks to it. */
export class OllamaRig implements AsyncDisposable {
  readonly ollama: ScriptedOllama;
  readonly provider: OllamaProvider;
  /** What the provider warned of. */
  readonly warnings: string[];
  readonly #deadlines: Deadlines;

  private constructor(ollama: ScriptedOllama, { baseUrl = ollama.url, ...options }: OllamaRigOptions) {
    const { clock = systemClock } = options;
    this.ollama = ollama;
    this.warnings = [];
    this.#deadlines = new Deadlines(clock);
    this.provider = new OllamaProvider({
      baseUrls: [baseUrl],
      contextWindow: 2048,
      keepAlive: '30m',
      silenceMs: 30_000,
      loadTimeoutMs: 300_000,
      ids: systemIds,
      log: { info: () => undefined, warn: (_fields, sentence) => void this.warnings.push(sentence) },
      ...options,
      clock,
      deadlines: this.#deadlines,
    });
  }

  static async open({ ollama = {}, ...options }: OllamaRigOptions = {}): Promise<OllamaRig> {
    return new OllamaRig(await ScriptedOllama.start(ollama), options);
  }

  /** All that comes of one request. */
  ask(request: Partial<ProviderRequest> = {}, signal: AbortSignal = new AbortController().signal): Promise<Heard> {
    return hear(this.provider.stream(toRequest(request), signal));
  }

  /** Has the model loaded, so that what follows is about the answer alone. */
  async warm(request: Partial<ProviderRequest> = {}): Promise<void> {
    const { error } = await this.ask(request);
    if (error !== undefined) throw error;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.provider[Symbol.asyncDispose]();
    this.#deadlines[Symbol.dispose]();
    await this.ollama.stop();
  }
}

export const toRequest = (request: Partial<ProviderRequest> = {}): ProviderRequest => ({
  model: 'tiny-chat',
  messages: [{ role: 'user', content: 'hello' }],
  maxTokens: 500,
  sampling: {},
  think: false,
  contextWindow: 2048,
  ...request,
});

/** What a stream said, and the error that it ended with. */
export interface Heard {
  readonly arrays: readonly (readonly Part[])[];
  readonly parts: readonly Part[];
  readonly content: string;
  readonly thinking: string;
  readonly finish: Extract<Part, { type: 'finish' }> | undefined;
  readonly states: readonly string[];
  readonly error: unknown;
}

export const hear = async (stream: AsyncIterable<readonly Part[]>): Promise<Heard> => {
  const arrays: (readonly Part[])[] = [];
  try {
    for await (const parts of stream) arrays.push(parts);
    return toHeard(arrays, undefined);
  } catch (error) {
    return toHeard(arrays, error);
  }
};

const toHeard = (arrays: readonly (readonly Part[])[], error: unknown): Heard => {
  const parts = arrays.flat();
  const text = (channel: string): string =>
    parts.map((part) => (part.type === 'text-delta' && part.channel === channel ? part.text : '')).join('');
  return {
    arrays,
    parts,
    content: text('content'),
    thinking: text('thinking'),
    finish: parts.find((part) => part.type === 'finish'),
    states: parts.flatMap((part) => (part.type === 'status' ? [part.status.state] : [])),
    error,
  };
};

/** Reads up to the first part that is no status; the rest can be read on. */
export const readToFirstDelta = async (reader: AsyncIterator<readonly Part[]>): Promise<readonly Part[]> => {
  for (;;) {
    const { done, value } = await reader.next();
    if (done === true) throw new Error('the stream ended without a delta');
    if (value.some((part) => part.type !== 'status')) return value;
  }
};
