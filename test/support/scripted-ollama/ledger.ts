import { setTimeout } from 'node:timers/promises';
import { fieldsOf } from './records.ts';

/** How a request ended: `left` when its client closed first, `killed` when the server did, `reset` when a script closed or tore the connection. */
export type Outcome = 'open' | 'answered' | 'left' | 'killed' | 'reset';

/** One request, filled in while it is answered. Times are milliseconds of `performance.now()`. */
export interface LedgerEntry {
  readonly index: number;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The JSON that was sent, or the text that was not JSON. */
  body: unknown;
  readonly arrivedAt: number;
  /** Undefined until the head was sent. */
  status: number | undefined;
  outcome: Outcome;
  abortedByClient: boolean;
  abortedAt: number | undefined;
  endedAt: number | undefined;
  /** Tokens made, seen by the client or not. */
  tokens: number;
  /** What marks the default reply to this request, and no other. */
  salt: string | undefined;
  /** The text of the last user message; empty when there is none. */
  prompt: string;
  promptTokens: number;
  model: string | undefined;
  /** Whether it holds one of the model's slots. */
  generating: boolean;
  /** What decided the reply: a script's name as given, or undefined for the default reply. */
  script: string | undefined;
}

export interface LoadRecord {
  /** With its tag. */
  readonly model: string;
  readonly numCtx: number;
  outcome: 'loading' | 'loaded' | 'aborted' | 'failed';
}

export interface UntilOptions {
  readonly timeoutMs?: number;
  /** What is waited for, in the words of the failure. */
  readonly what?: string;
}

/** Everything that a scripted Ollama was asked and did, in order. Never forgets, also over `restart()`. */
export class Ledger {
  readonly entries: LedgerEntry[] = [];
  readonly loads: LoadRecord[] = [];
  /** Models that went: by `keep_alive`, by request, for a reload, or because their runner died. */
  readonly unloads: string[] = [];
  readonly #watchers = new Set<() => void>();
  #running = 0;
  #maxRunning = 0;

  /** The requests to `/api/chat` that ask for a reply (loads, unloads and renderings left out). */
  get chats(): readonly LedgerEntry[] {
    return this.entries.filter((entry) => entry.path === '/api/chat' && asksForReply(entry.body));
  }

  /** Replies being generated now, over all models. */
  get running(): number {
    return this.#running;
  }

  get maxRunning(): number {
    return this.#maxRunning;
  }

  get abortedLoads(): number {
    return this.loads.filter((load) => load.outcome === 'aborted').length;
  }

  get tokens(): number {
    return this.entries.reduce((sum, entry) => sum + entry.tokens, 0);
  }

  /** The requests to one path, oldest first. */
  requestsTo(path: string): readonly LedgerEntry[] {
    return this.entries.filter((entry) => entry.path === path);
  }

  /** How often a model was loaded, by its name with the tag, with any or with one `num_ctx`. */
  loadsOf(model: string, numCtx?: number): number {
    return this.loads.filter((load) => load.model === model && (numCtx ?? load.numCtx) === load.numCtx).length;
  }

  /** Resolves when the predicate holds, now or after some change; rejects with the ledger's state after `timeoutMs`. */
  async until(predicate: (ledger: Ledger) => boolean, options: UntilOptions = {}): Promise<void> {
    const { timeoutMs = 5000, what = predicate.toString() } = options;
    if (predicate(this)) return;
    const held = Promise.withResolvers<void>();
    const timer = new AbortController();
    const watch = () => predicate(this) && held.resolve();
    this.#watchers.add(watch);
    try {
      await Promise.race([held.promise, this.#expire(timeoutMs, what, timer.signal)]);
    } finally {
      this.#watchers.delete(watch);
      timer.abort();
    }
  }

  /** For the server: a reply takes its slot, or gives it back. */
  setGenerating(entry: LedgerEntry, generating: boolean): void {
    if (entry.generating === generating) return;
    entry.generating = generating;
    this.#running += generating ? 1 : -1;
    this.#maxRunning = Math.max(this.#maxRunning, this.#running);
    this.changed();
  }

  /** For the server: something above was changed. */
  changed(): void {
    for (const watch of this.#watchers) watch();
  }

  async #expire(timeoutMs: number, what: string, signal: AbortSignal): Promise<void> {
    try {
      await setTimeout(timeoutMs, undefined, { signal });
    } catch {
      return; // what was waited for came in time
    }
    throw new Error(`the scripted Ollama did not come to it in ${timeoutMs} ms: ${what}\n${this.#summary()}`);
  }

  #summary(): string {
    const requests = this.entries.map(
      ({ index, method, path, status, outcome, tokens, script }) =>
        `  ${index} ${method} ${path} ${status ?? '-'} ${outcome} ${tokens} tokens ${script ?? ''}`,
    );
    const loads = this.loads.map(({ model, numCtx, outcome }) => `  load of ${model} with ${numCtx}: ${outcome}`);
    return [`running ${this.running}, at most ${this.#maxRunning}`, ...requests.slice(-30), ...loads].join('\n');
  }
}

function asksForReply(body: unknown): boolean {
  const { messages, _debug_render_only: rendersOnly } = fieldsOf(body);
  return Array.isArray(messages) && messages.length > 0 && rendersOnly !== true;
}
