import { createGate, type Gate } from './gate.ts';
import type { Exchange } from './exchange.ts';
import { waitFor, waitMs } from './waiting.ts';

/** The answer of an endpoint that fails: Ollama's JSON with `error`, or a body of one's own. */
export interface Failure {
  readonly status: number;
  readonly error?: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

type Fault = { readonly failure: Failure } | { readonly gate: Gate } | { readonly delayMs: number } | 'reset';

/** What is wrong with whole endpoints, until they are healed. */
export class Faults {
  readonly #faults = new Map<string, Fault>();

  set(path: string, fault: Fault): void {
    this.heal(path);
    this.#faults.set(path, fault);
  }

  /** Heals one endpoint, or all; requests that hang there are answered now. */
  heal(path?: string): void {
    for (const [at, fault] of this.#faults) {
      if (path !== undefined && at !== path) continue;
      if (typeof fault === 'object' && 'gate' in fault) fault.gate.open();
      this.#faults.delete(at);
    }
  }

  /** Resolves when the endpoint may answer; true when the fault was the answer. */
  async play(exchange: Exchange): Promise<boolean> {
    const fault = this.#faults.get(exchange.path);
    if (!fault) return false;
    if (fault === 'reset') exchange.reset();
    else if ('failure' in fault) await this.#fail(exchange, fault.failure);
    else if ('gate' in fault) await waitFor(fault.gate, exchange.signal);
    else await waitMs(fault.delayMs, exchange.signal);
    return fault === 'reset' || 'failure' in fault;
  }

  async #fail(exchange: Exchange, { status, error = 'scripted failure', body, headers }: Failure): Promise<void> {
    await exchange.readBody();
    if (body === undefined) exchange.json(status, { error });
    else exchange.text(status, body, headers ?? { 'Content-Type': 'text/plain' });
  }
}

export const hanging = (): Fault => ({ gate: createGate() });
