import type { Clock, Ids } from '../clock.ts';
import { ModelNotFoundError } from '../errors.ts';
import { RULES, reflect } from './eliza-rules.ts';
import type { ModelInfo, Part, Provider, ProviderHealth, ProviderRequest } from './provider.ts';
import { isSameModel } from '../conversation/model-name.ts';
import { untilAborted } from './until-aborted.ts';

export interface ElizaOptions {
  readonly clock: Clock;
  readonly ids: Ids;
  /** The model that it stands in for: what is to be pulled. */
  readonly standsInFor: string;
}

const WORD_MS = 25; // fast, and slow enough to be seen streaming
const CONTEXT_WINDOW = 8_192;
const toNotice = (model: string): string =>
  'I am ELIZA, a small program of rules: no Ollama was reached, so I answer in its place. For a real model install ' +
  `Ollama, then: ollama pull ${model}`;

/**
 * Answers by a dozen rules where there is no model yet, so that every interface can be tried. It counts a word as
 * a token, thinks nothing, and keeps nothing between two calls. After Joseph Weizenbaum's ELIZA (1966).
 */
export class ElizaProvider implements Provider {
  readonly name = 'eliza';
  readonly #options: ElizaOptions;

  constructor(options: ElizaOptions) {
    this.#options = options;
  }

  async *stream(request: ProviderRequest, signal: AbortSignal): AsyncGenerator<readonly Part[], void> {
    signal.throwIfAborted();
    const words = this.#answer(request).split(/(?<=\s)/);
    for (const word of words.slice(0, request.maxTokens)) {
      await untilAborted(this.#options.clock.sleep(WORD_MS, signal), signal);
      yield [{ type: 'text-delta', channel: 'content', text: word }];
    }
    yield [{ type: 'finish', finishReason: words.length > request.maxTokens ? 'length' : 'stop' }];
  }

  async findModel(name: string): Promise<ModelInfo> {
    if (isSameModel(name, this.name)) return this.#model;
    throw new ModelNotFoundError(
      `ELIZA knows no model but eliza. For others install Ollama, then: ollama pull ${name}`,
    );
  }

  async listModels(): Promise<readonly ModelInfo[]> {
    return [this.#model];
  }

  async health(): Promise<ProviderHealth> {
    return { status: 'up', hint: toNotice(this.#options.standsInFor) };
  }

  get #model(): ModelInfo {
    const { name } = this;
    return { name, provider: name, loaded: true, contextWindow: CONTEXT_WINDOW, capabilities: ['completion'] };
  }

  #answer({ messages }: ProviderRequest): string {
    const said = messages.findLast(({ role }) => role === 'user')?.content ?? '';
    const answer = this.#respond(said);
    return messages.some(({ role }) => role === 'assistant')
      ? answer
      : `${answer}\n\n(${toNotice(this.#options.standsInFor)})`;
  }

  #respond(said: string): string {
    for (const { pattern, answers } of RULES) {
      const match = pattern.exec(said);
      if (match) return this.#pick(answers).replace('*', () => reflect(match[1] ?? ''));
    }
    return 'Please go on.';
  }

  #pick(answers: readonly string[]): string {
    return answers[Math.floor(this.#options.ids.random() * answers.length)] ?? '';
  }
}
