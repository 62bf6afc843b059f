import { TOKEN_CHARACTERS } from '../backend/tokens.ts';
import { startCpuMeter, type CpuSeconds, type Pids } from '../measure/proc.ts';
import { Samples, type Spread } from '../measure/statistics.ts';
import { openWires } from './open-wire.ts';
import type { Wire } from './wire.ts';

/** Each connection asks, waits for the end, and asks again. */
export interface ClosedLoop {
  readonly type: 'closed-loop';
  readonly urls: readonly string[];
  readonly connections: number;
  /** It ends after so many, or after so long, whichever comes first. */
  readonly requests?: number;
  readonly seconds?: number;
  readonly tokens: number;
  /** Names of conversations begin so. */
  readonly prefix: string;
  /** So many conversations are gone through again and again, a multiple of the connections; a new one each time by default. */
  readonly conversations?: number;
  readonly pids: Pids;
}

export interface ClosedLoopFigures {
  readonly seconds: number;
  readonly requests: number;
  readonly tokens: number;
  readonly failures: number;
  /** Of the first failure. */
  readonly error?: string;
  /** Pieces of text: what came in one frame. */
  readonly pieces: number;
  /** Milliseconds from the request to its end. */
  readonly latency: Spread;
  /** Milliseconds from the request to its first piece of text. */
  readonly firstToken: Spread;
  readonly cpu: CpuSeconds;
}

export const runClosedLoop = async (order: ClosedLoop): Promise<ClosedLoopFigures> => {
  const wires = await openWires(order.urls, order.connections);
  const loop = new Loop(order);
  const readCpu = startCpuMeter(order.pids);
  const startedAt = performance.now();
  await Promise.all(wires.map((wire, index) => loop.run(wire, index)));
  const figures = { ...loop.figures(), seconds: (performance.now() - startedAt) / 1000, cpu: readCpu() };
  for (const wire of wires) wire.close();
  return figures;
};

class Loop {
  readonly #order: ClosedLoop;
  readonly #latency = new Samples();
  readonly #firstToken = new Samples();
  readonly #endAt: number;
  #asked = 0;
  #ended = 0;
  #characters = 0;
  #pieces = 0;
  #failures = 0;
  #error: string | undefined;

  constructor(order: ClosedLoop) {
    this.#order = order;
    this.#endAt = performance.now() + (order.seconds ?? Number.POSITIVE_INFINITY) * 1000;
  }

  async run(wire: Wire, connection: number): Promise<void> {
    for (let round = 0; this.#goesOn; round++) {
      this.#asked += 1;
      await this.#ask(wire, this.#toConversation(connection, round));
    }
  }

  figures(): Omit<ClosedLoopFigures, 'seconds' | 'cpu'> {
    return {
      requests: this.#ended,
      tokens: this.#characters / TOKEN_CHARACTERS,
      failures: this.#failures,
      ...(this.#error !== undefined && { error: this.#error }),
      pieces: this.#pieces,
      latency: this.#latency.spread(),
      firstToken: this.#firstToken.spread(),
    };
  }

  get #goesOn(): boolean {
    return this.#asked < (this.#order.requests ?? Number.POSITIVE_INFINITY) && performance.now() < this.#endAt;
  }

  /** No two connections share one: a conversation answers one request at a time. */
  #toConversation(connection: number, round: number): string {
    const { prefix, conversations, connections } = this.#order;
    const number = conversations === undefined ? round : round % Math.floor(conversations / connections);
    return `${prefix}-${connection}-${number}`;
  }

  #ask(wire: Wire, conversationId: string): Promise<void> {
    const askedAt = performance.now();
    let isFirst = true;
    return new Promise((resolve) => {
      wire.ask(
        { conversationId, prompt: `bench ${this.#order.tokens} 0` },
        {
          onText: (text) => {
            if (isFirst) this.#firstToken.add(performance.now() - askedAt);
            isFirst = false;
            this.#pieces += 1;
            this.#characters += text.length;
          },
          onEnd: (error) => {
            this.#latency.add(performance.now() - askedAt);
            this.#end(error);
            resolve();
          },
        },
      );
    });
  }

  #end(error: string | undefined): void {
    if (error === undefined) this.#ended += 1;
    else this.#failures += 1;
    this.#error ??= error;
  }
}
