import type { FinishReason } from '../../src/conversation/reply-event.ts';
import type { ModelInfo, Part, Provider, ProviderHealth, ProviderRequest } from '../../src/providers/provider.ts';

type Step = readonly Part[] | Error | 'end';

/** Text of the answer. */
export const say = (text: string): Part => ({ type: 'text-delta', channel: 'content', text });
export const think = (text: string): Part => ({ type: 'text-delta', channel: 'thinking', text });

export interface Finish {
  readonly finishReason?: Extract<FinishReason, 'stop' | 'length' | 'repetition'>;
  readonly promptTokens?: number;
  readonly completionTokens?: number;
}

export const finish = ({ finishReason = 'stop', ...counts }: Finish = {}): Part => ({
  type: 'finish',
  finishReason,
  ...counts,
});

/**
 * A provider that says what a test tells it to, when it tells it to. Each `send` is one read. It lets go at once
 * when its signal aborts, unless it was told to hold on.
 */
export class ScriptedProvider implements Provider {
  readonly name = 'scripted';
  readonly requests: ProviderRequest[] = [];
  /** Why the signal aborted. */
  abortReason: unknown;
  /** Reads that were taken from it. */
  taken = 0;
  /** Whether the stream is over, by itself or because its reader left. */
  isOver = false;
  #steps: Step[] = [];
  #changed = Promise.withResolvers<void>();
  #release = Promise.withResolvers<void>();

  constructor() {
    this.#release.resolve();
  }

  send(...parts: readonly Part[]): this {
    return this.#push(parts);
  }

  say(...texts: readonly string[]): this {
    return this.send(...texts.map(say));
  }

  finish(counts?: Finish): this {
    return this.send(finish(counts));
  }

  fail(error: Error): this {
    return this.#push(error);
  }

  /** The stream ends, with or without a finish before. */
  end(): this {
    return this.#push('end');
  }

  /** From now on an abort does not end the stream; the returned function lets it. */
  holdOn(): () => void {
    this.#release = Promise.withResolvers();
    return () => this.#release.resolve();
  }

  async *stream(request: ProviderRequest, signal: AbortSignal): AsyncGenerator<readonly Part[], void> {
    this.requests.push(request);
    yield* this.read(signal);
  }

  /** What `stream` yields, without a request. */
  async *read(signal: AbortSignal): AsyncGenerator<readonly Part[], void> {
    const aborted = Promise.withResolvers<void>();
    signal.addEventListener('abort', () => aborted.resolve(), { once: true });
    try {
      for (;;) {
        while (this.#steps.length === 0 && !signal.aborted)
          await Promise.race([this.#changed.promise, aborted.promise]);
        if (signal.aborted) throw await this.#letGo(signal);
        const step = this.#steps.shift();
        if (step === 'end' || step === undefined) return;
        if (step instanceof Error) throw step;
        this.taken += 1;
        yield step;
      }
    } finally {
      this.abortReason ??= signal.reason;
      this.isOver = true;
    }
  }

  async findModel(name: string): Promise<ModelInfo> {
    return { name, provider: this.name, loaded: true, contextWindow: 2048, capabilities: ['completion'] };
  }

  async listModels(): Promise<readonly ModelInfo[]> {
    return [await this.findModel('scripted')];
  }

  async health(): Promise<ProviderHealth> {
    return { status: 'up' };
  }

  #push(step: Step): this {
    this.#steps.push(step);
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
    return this;
  }

  async #letGo(signal: AbortSignal): Promise<unknown> {
    this.abortReason = signal.reason;
    await this.#release.promise;
    return signal.reason;
  }
}
