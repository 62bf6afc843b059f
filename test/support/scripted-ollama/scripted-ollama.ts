import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { isAllowed } from './access.ts';
import { Exchange } from './exchange.ts';
import { type Failure, Faults, hanging } from './faults.ts';
import type { Engine, Host } from './host.ts';
import { HttpRefusal } from './http-refusal.ts';
import { Ledger } from './ledger.ts';
import { createModel, defaultModels, type ModelOptions, withTag } from './models.ts';
import { answer } from './routes.ts';
import { Scheduler } from './scheduler.ts';
import { ScriptBook } from './script-book.ts';
import type { LoadScript, PullStep, ScriptLike } from './script.ts';
import type { WaitOrder } from './semaphore.ts';

export { unsaltedText, withoutSalts } from './default-reply.ts';
export { createGate, type Gate } from './gate.ts';
export type { Ledger, LedgerEntry, LoadRecord, Outcome } from './ledger.ts';
export type { ModelOptions, Prefill, ScriptedModel } from './models.ts';
export type { LoadScript, PullStep, Script, ScriptLike, Step, Turn, WireToolCall } from './script.ts';
export type { Failure } from './faults.ts';
export type { Engine } from './host.ts';

export interface ScriptedOllamaOptions {
  readonly models?: readonly ModelOptions[];
  /** A free one by default. */
  readonly port?: number;
  /** Between two tokens; as fast as possible by default. */
  readonly paceMs?: number;
  /** Replies that one model makes at a time (1). */
  readonly parallel?: number;
  /** Requests that may wait for a load before others are refused with 503 (512). */
  readonly maxQueue?: number;
  /** Who gets a free slot (`first-come`). */
  readonly order?: WaitOrder;
  /** How too long prompts are treated (`may`). */
  readonly engine?: Engine;
  readonly version?: string;
}

/**
 * An Ollama without a model: it speaks the wire of a real one, byte for byte where that matters, says what a script
 * decides, and keeps a ledger of all that it was asked. Listens on loopback.
 */
export class ScriptedOllama implements AsyncDisposable {
  readonly ledger: Ledger;
  readonly #host: Host;
  readonly #faults = new Faults();
  readonly #exchanges = new Set<Exchange>();
  #server: Server | undefined;
  #closed: Promise<unknown> = Promise.resolve();
  #port: number;

  private constructor({ port = 0, ...options }: ScriptedOllamaOptions) {
    const { parallel = 1, maxQueue = 512, order = 'first-come', paceMs = 0 } = options;
    const models = (options.models ?? defaultModels).map(createModel);
    this.ledger = new Ledger();
    this.#port = port;
    this.#host = {
      models: new Map(models.map((model) => [model.name, model])),
      scheduler: new Scheduler({ ledger: this.ledger, parallel, maxQueue, order }),
      book: new ScriptBook(),
      ledger: this.ledger,
      pulls: [],
      engine: options.engine ?? 'may',
      version: options.version ?? '0.0.0',
      die: () => void this.kill(),
      paceMs,
    };
  }

  /** Resolves when it listens. */
  static async start(options: ScriptedOllamaOptions = {}): Promise<ScriptedOllama> {
    const ollama = new ScriptedOllama(options);
    await ollama.restart();
    return ollama;
  }

  get port(): number {
    return this.#port;
  }

  /** Without a slash behind it. */
  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get paceMs(): number {
    return this.#host.paceMs;
  }

  /** Between two tokens, where no script says otherwise; for the requests that come from now on. */
  set paceMs(paceMs: number) {
    this.#host.paceMs = paceMs;
  }

  /** Decides the reply to the next request that asks for one and has no decision yet; the first put in is the first played. */
  next(...scripts: readonly ScriptLike[]): void {
    for (const script of scripts) this.#host.book.next(script);
  }

  /** Decides how the next load goes: slow, held at a gate, or failing. */
  nextLoad(load: LoadScript): void {
    this.#host.scheduler.scriptLoad(load);
  }

  /** Decides how the next download goes. */
  nextPull(...steps: readonly PullStep[]): void {
    this.#host.pulls.push(steps);
  }

  /** An endpoint fails until it is healed. */
  fail(path: string, failure: Failure): void {
    this.#faults.set(path, { failure });
  }

  /** An endpoint says nothing until it is healed; then those who stayed are answered. */
  hang(path: string): void {
    this.#faults.set(path, hanging());
  }

  /** An endpoint answers late until it is healed. */
  slow(path: string, delayMs: number): void {
    this.#faults.set(path, { delayMs });
  }

  /** An endpoint tears every connection until it is healed. */
  reset(path: string): void {
    this.#faults.set(path, 'reset');
  }

  /** One endpoint answers again, or all. */
  heal(path?: string): void {
    this.#faults.heal(path);
  }

  /** Adds a model, or puts another in its place; what is loaded stays as it is. */
  addModel(options: ModelOptions): void {
    const model = createModel(options);
    this.#host.models.set(model.name, model);
  }

  removeModel(name: string): void {
    this.#host.models.delete(withTag(name));
  }

  /** The model's process dies: error lines for those it was answering, 500 for those who waited, a load for the next. */
  crashRunner(name: string): void {
    const runner = this.#host.scheduler.loaded().find(({ model }) => model.name === withTag(name));
    if (runner) this.#host.scheduler.drop(runner);
  }

  /** Listens again, on the same port; no model is loaded. */
  async restart(): Promise<void> {
    await this.kill();
    const server = createServer({ keepAliveTimeout: 0, requestTimeout: 0 }, (request, response) => {
      void this.#answer(request, response);
    });
    this.#server = server.listen(this.#port, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (typeof address === 'object' && address) this.#port = address.port;
  }

  /** All connections are torn and the listener is gone, as after kill -9. Resolves when the port is free. */
  async kill(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server) return void (await this.#closed);
    this.#closed = once(server, 'close');
    server.close();
    for (const exchange of this.#exchanges) exchange.kill();
    server.closeAllConnections();
    this.#host.scheduler.dropAll();
    await this.#closed;
  }

  /** Kills it and lets go of everything that it still holds. */
  async stop(): Promise<void> {
    await this.kill();
    this.heal();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const exchange = new Exchange({ request, response, ledger: this.ledger });
    this.#exchanges.add(exchange);
    try {
      if (!isAllowed(request.headers)) exchange.empty(403);
      else if (!(await this.#faults.play(exchange))) await answer(exchange, this.#host);
    } catch (error) {
      refuse(exchange, error);
    } finally {
      this.#exchanges.delete(exchange);
    }
  }
}

/** Says what went wrong, where somebody is still there to hear it. */
function refuse(exchange: Exchange, error: unknown): void {
  if (exchange.isGone || exchange.entry.outcome !== 'open') return;
  if (exchange.hasBegun) return exchange.reset();
  exchange.refuse(error instanceof HttpRefusal ? error : new HttpRefusal(500, String(error)));
}
