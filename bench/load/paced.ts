import { setTimeout as sleep } from 'node:timers/promises';
import { TOKEN_CHARACTERS, readAgeMs } from '../backend/tokens.ts';
import { startCpuMeter, type CpuSeconds, type Pids } from '../measure/proc.ts';
import { Samples, type Spread } from '../measure/statistics.ts';
import { openWires } from './open-wire.ts';
import type { Wire } from './wire.ts';

/** Many replies at the pace of a model, each on a connection of its own; what is measured is a window in the middle. */
export interface Paced {
  readonly type: 'paced';
  readonly urls: readonly string[];
  readonly streams: number;
  /** Connections beside them that say nothing. */
  readonly idle?: number;
  readonly msPerToken: number;
  /** The streams begin one after the other within so long. */
  readonly rampSeconds: number;
  readonly windowSeconds: number;
  readonly prefix: string;
  readonly pids: Pids;
}

export interface PacedFigures {
  readonly seconds: number;
  /** That came within the window. */
  readonly tokens: number;
  readonly pieces: number;
  readonly streams: number;
  readonly failures: number;
  readonly error?: string;
  /** Milliseconds from a request to its first token. */
  readonly firstToken: Spread;
  /** Milliseconds from the backend, through what is measured, to here. */
  readonly transit: Spread;
  /** Milliseconds by which the transit of a token differs from that of the one before it. */
  readonly jitter: Spread;
  readonly cpu: CpuSeconds;
}

/** Between the last beginning and the window. */
const SETTLE_MS = 1_000;
/** The replies end behind the window, or are left. */
const PATIENCE_MS = 3_000;

export const runPaced = async (order: Paced): Promise<PacedFigures> => {
  const wires = await openWires(order.urls, order.streams);
  const idle = await openWires(order.urls, order.idle ?? 0);
  const window = new PacedWindow(order);
  const ended = wires.map((wire, index) => window.stream(wire, index));
  await sleep(order.rampSeconds * 1000 + SETTLE_MS);
  const figures = await window.measure();
  await Promise.race([Promise.all(ended), sleep(PATIENCE_MS)]);
  for (const wire of [...wires, ...idle]) wire.close();
  return figures;
};

class PacedWindow {
  readonly #order: Paced;
  readonly #firstToken = new Samples();
  readonly #transit = new Samples();
  readonly #jitter = new Samples();
  #isOpen = false;
  #tokens = 0;
  #pieces = 0;
  #failures = 0;
  #error: string | undefined;

  constructor(order: Paced) {
    this.#order = order;
  }

  /** Asks when its turn has come; resolves at the reply's end. */
  async stream(wire: Wire, index: number): Promise<void> {
    const { streams, rampSeconds, windowSeconds, msPerToken, prefix } = this.#order;
    await sleep((rampSeconds * 1000 * index) / streams);
    const leftMs = rampSeconds * 1000 * (1 - index / streams) + SETTLE_MS + windowSeconds * 1000;
    const prompt = `bench ${Math.ceil(leftMs / msPerToken) + 10} ${msPerToken}`;
    const askedAt = performance.now();
    const { promise, resolve } = Promise.withResolvers<void>();
    let previous: number | undefined;
    const onText = (text: string): void => {
      if (previous === undefined) this.#firstToken.add(performance.now() - askedAt);
      previous = this.#take(text, previous);
    };
    const onEnd = (error?: string): void => {
      if (error !== undefined) this.#fail(error);
      resolve();
    };
    wire.ask({ conversationId: `${prefix}-${index}`, prompt }, { onText, onEnd });
    await promise;
  }

  async measure(): Promise<PacedFigures> {
    const readCpu = startCpuMeter(this.#order.pids);
    const startedAt = performance.now();
    this.#isOpen = true;
    await sleep(this.#order.windowSeconds * 1000);
    this.#isOpen = false;
    return {
      seconds: (performance.now() - startedAt) / 1000,
      cpu: readCpu(),
      tokens: this.#tokens,
      pieces: this.#pieces,
      streams: this.#order.streams,
      failures: this.#failures,
      ...(this.#error !== undefined && { error: this.#error }),
      firstToken: this.#firstToken.spread(),
      transit: this.#transit.spread(),
      jitter: this.#jitter.spread(),
    };
  }

  /** Gives back the transit of the last token. */
  #take(text: string, before: number | undefined): number | undefined {
    let previous = before;
    for (let index = 0; index < text.length; index += TOKEN_CHARACTERS) {
      const transit = readAgeMs(text, index);
      if (this.#isOpen) this.#transit.add(transit);
      if (this.#isOpen && previous !== undefined) this.#jitter.add(Math.abs(transit - previous));
      previous = transit;
    }
    if (!this.#isOpen) return previous;
    this.#tokens += text.length / TOKEN_CHARACTERS;
    this.#pieces += 1;
    return previous;
  }

  #fail(error: string): void {
    this.#failures += 1;
    this.#error ??= error;
  }
}
