import type { Part, Provider } from '../../src/providers/provider.ts';

/** What one call brings: arrays of parts, and the error that it ends with. */
export type Attempt = readonly (readonly Part[] | Error)[];

export const say = (text: string): Part => ({ type: 'text-delta', channel: 'content', text });
export const finished: Part = { type: 'finish', finishReason: 'stop' };

/** A provider that plays one attempt per call, the last one again and again. */
export class ScriptedProvider implements Provider {
  readonly name = 'scripted';
  readonly #attempts: readonly Attempt[];
  calls = 0;

  constructor(...attempts: readonly Attempt[]) {
    this.#attempts = attempts;
  }

  async *stream(): AsyncGenerator<readonly Part[], void> {
    const attempt = this.#attempts[Math.min(this.calls++, this.#attempts.length - 1)] ?? [];
    for (const step of attempt) {
      if (step instanceof Error) throw step;
      yield step;
    }
  }

  async findModel(name: string) {
    return { name, provider: this.name, loaded: true, contextWindow: 2048, capabilities: ['completion'] as const };
  }

  async listModels() {
    return [await this.findModel('scripted')];
  }

  async health() {
    return { status: 'up' } as const;
  }
}
