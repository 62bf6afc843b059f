import type { Clock } from '../../src/clock.ts';

export interface Question {
  readonly caller: string;
  readonly conversation: string;
  readonly model: string;
  /** The whole conversation so far and the question. */
  readonly promptTokens: number;
  readonly answerTokens: number;
  /** In [0, 1): which host a choice by chance falls on. */
  readonly chance: number;
}

export interface HostSpeed {
  readonly loadMs: number;
  readonly promptTokensPerSecond: number;
  readonly answerTokensPerSecond: number;
}

/**
 * An Ollama server whose memory holds one model, and which answers one question at a time in the order in which they
 * came. It still knows the conversation that it answered last: what it has read or said of it is not read anew.
 */
export class SimulatedHost {
  readonly name: string;
  readonly #clock: Clock;
  readonly #speed: HostSpeed;
  #model: string | undefined;
  #known = { conversation: '', tokens: 0 };
  #line: Promise<void> = Promise.resolve();
  loads = 0;
  evictions = 0;
  /** Of the prompts, all tokens, and those that were read anew. */
  promptTokens = 0;
  tokensRead = 0;

  constructor(name: string, clock: Clock, speed: HostSpeed) {
    this.name = name;
    this.#clock = clock;
    this.#speed = speed;
  }

  /** In memory, or being loaded. */
  has(model: string): boolean {
    return this.#model === model;
  }

  /** Resolves when the answer has ended, with the instant of its first word. */
  async answer(question: Question): Promise<number> {
    const turn = this.#line;
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    this.#line = ended;
    await turn;
    await this.#load(question.model);
    await this.#read(question);
    const firstWordAt = this.#clock.now();
    await this.#clock.sleep((question.answerTokens / this.#speed.answerTokensPerSecond) * 1000);
    end();
    return firstWordAt;
  }

  async #load(model: string): Promise<void> {
    if (this.#model === model) return;
    this.loads += 1;
    if (this.#model !== undefined) this.evictions += 1;
    this.#model = model;
    this.#known = { conversation: '', tokens: 0 };
    await this.#clock.sleep(this.#speed.loadMs);
  }

  async #read({ conversation, promptTokens, answerTokens }: Question): Promise<void> {
    const known = this.#known.conversation === conversation ? this.#known.tokens : 0;
    this.#known = { conversation, tokens: promptTokens + answerTokens };
    this.promptTokens += promptTokens;
    this.tokensRead += promptTokens - known;
    await this.#clock.sleep(((promptTokens - known) / this.#speed.promptTokensPerSecond) * 1000);
  }
}
