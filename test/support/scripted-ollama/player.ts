import { type ChatRequest, numberOption } from './chat-request.ts';
import type { Exchange } from './exchange.ts';
import { goJson } from './go-json.ts';
import { HttpRefusal } from './http-refusal.ts';
import type { Crash, DoneFields, Script, Step, Turn, WireToolCall } from './script.ts';
import { envelope } from './turn.ts';
import { waitFor, waitForAbort, waitMs } from './waiting.ts';

export interface Play {
  readonly exchange: Exchange;
  readonly turn: Turn;
  readonly script: Script;
  readonly paceMs: number;
  readonly loadMs: number;
  /** Aborts when the client leaves or the runner dies. */
  readonly signal: AbortSignal;
  /** A process dies; it aborts the signal. */
  readonly onCrash: (who: Crash) => void;
}

interface Spoken {
  content: string;
  thinking: string;
  calls: readonly WireToolCall[];
}

const NS_PER_MS = 1_000_000;
const TOKENS_PER_BREATH = 16; // at full speed, other connections get their turn after so many

/** Plays a script's steps to the end, or until the signal aborts. */
export const play = (plan: Play): Promise<void> => new Player(plan).play();

class Player {
  readonly #plan: Play;
  readonly #limit: number;
  readonly #spoken: Spoken = { content: '', thinking: '', calls: [] };
  #tokens = 0;

  constructor(plan: Play) {
    this.#plan = plan;
    this.#limit = plan.script.ignoresLimit ? Infinity : tokenLimit(plan.turn);
  }

  async play(): Promise<void> {
    const { script, turn, exchange } = this.#plan;
    const steps = typeof script.steps === 'function' ? script.steps(turn) : script.steps;
    for await (const step of steps) if (await this.#isLast(step)) return;
    if (!exchange.hasBegun && !turn.request.stream) return exchange.json(200, this.#wholeWithoutEnd());
    exchange.end();
  }

  /** Plays one step; true when nothing may follow it. */
  async #isLast(step: Step): Promise<boolean> {
    const { exchange, signal } = this.#plan;
    signal.throwIfAborted();
    if ('say' in step) return this.#token({ content: step.say });
    if ('think' in step) return this.#token({ content: '', thinking: step.think });
    if ('calls' in step) return this.#call(step.calls);
    if ('done' in step) return this.#done(step.done === true ? {} : step.done);
    if ('error' in step) return this.#error(step.error, step.status);
    if ('write' in step) await exchange.write(step.write);
    if ('status' in step) return this.#head(step);
    if ('waitMs' in step) await waitMs(step.waitMs, signal);
    if ('waitFor' in step) await waitFor(step.waitFor, signal);
    if ('hang' in step) await waitForAbort(signal);
    if ('crash' in step) this.#crash(step.crash);
    if ('end' in step) exchange.end();
    if ('close' in step) exchange.close();
    if ('reset' in step) exchange.reset();
    return 'end' in step || 'close' in step || 'reset' in step;
  }

  #crash(who: Crash): void {
    const { onCrash, signal } = this.#plan;
    onCrash(who);
    signal.throwIfAborted();
  }

  async #token(message: { content: string; thinking?: string }): Promise<boolean> {
    const isToken = message.content !== '' || message.thinking !== undefined;
    if (isToken && this.#tokens >= this.#limit) {
      await this.#done({ reason: 'length' });
      this.#plan.exchange.end();
      return true;
    }
    if (isToken) await this.#makeToken();
    this.#spoken.content += message.content;
    this.#spoken.thinking += message.thinking ?? '';
    if (this.#plan.turn.request.stream) await this.#line(message);
    return false;
  }

  async #makeToken(): Promise<void> {
    const { paceMs, signal, exchange } = this.#plan;
    if (paceMs > 0 || this.#tokens % TOKENS_PER_BREATH === 0) await waitMs(paceMs, signal);
    this.#tokens++;
    exchange.entry.tokens++;
    exchange.changed();
  }

  async #call(calls: readonly WireToolCall[]): Promise<boolean> {
    await this.#makeToken();
    this.#spoken.calls = [...this.#spoken.calls, ...calls];
    if (this.#plan.turn.request.stream) await this.#line({ content: '', tool_calls: calls });
    return false;
  }

  async #done(fields: DoneFields): Promise<boolean> {
    const { turn, exchange } = this.#plan;
    if (turn.request.stream) {
      const { content = '', thinking = '', calls = [] } = fields;
      await exchange.write(turn.line(this.#last({ content, thinking, calls }, fields)));
      return false;
    }
    const { content, thinking, calls } = this.#spoken;
    const spoken = {
      content: content + (fields.content ?? ''),
      thinking: thinking + (fields.thinking ?? ''),
      calls: [...calls, ...(fields.calls ?? [])],
    };
    exchange.json(200, envelope(turn.request, this.#last(spoken, fields)));
    return true;
  }

  #error(text: string, status = 500): boolean | Promise<boolean> {
    const { exchange, turn } = this.#plan;
    if (!exchange.hasBegun) {
      exchange.refuse(new HttpRefusal(status, text, turn.request.stream));
      return true;
    }
    return exchange.write(`${goJson({ error: text })}\n`).then(() => {
      exchange.end();
      return true;
    });
  }

  #head({
    status,
    headers,
    body,
  }: {
    status: number;
    headers?: Readonly<Record<string, string>>;
    body?: string;
  }): boolean {
    const { exchange } = this.#plan;
    const type = { 'Content-Type': body === undefined ? 'application/x-ndjson' : 'application/json; charset=utf-8' };
    if (body === undefined) exchange.head(status, headers ?? type);
    else exchange.text(status, body, headers ?? type);
    return body !== undefined;
  }

  #line(message: Readonly<Record<string, unknown>>): Promise<void> {
    const { exchange, turn } = this.#plan;
    return exchange.write(turn.line({ message: { role: 'assistant', ...message }, done: false }));
  }

  /** The fields of a last line, or of the one object, in Ollama's order. */
  #last(spoken: Spoken, fields: DoneFields): Readonly<Record<string, unknown>> {
    const { reason = 'stop', done = true, promptEvalCount, evalCount, extra } = fields;
    const { turn, exchange, loadMs } = this.#plan;
    const totalMs = performance.now() - exchange.entry.arrivedAt;
    const isCut = reason === 'length' && this.#tokens > 0;
    return {
      message: toMessage(spoken),
      done: done ?? undefined,
      done_reason: reason ?? undefined,
      total_duration: nanoseconds(totalMs),
      load_duration: nanoseconds(loadMs),
      prompt_eval_count: promptEvalCount === undefined ? turn.promptTokens : (promptEvalCount ?? undefined),
      prompt_eval_duration: nanoseconds(totalMs / 10),
      eval_count: evalCount === undefined ? this.#tokens + (isCut ? 0 : 1) : (evalCount ?? undefined),
      eval_duration: nanoseconds(totalMs / 2),
      ...extra,
    };
  }

  #wholeWithoutEnd(): Readonly<Record<string, unknown>> {
    return envelope(this.#plan.turn.request, { message: toMessage(this.#spoken), done: false });
  }
}

/** Empty fields are left out, but for the content. */
const toMessage = ({ content, thinking, calls }: Spoken): Readonly<Record<string, unknown>> => ({
  role: 'assistant',
  content,
  thinking: thinking || undefined,
  tool_calls: calls.length ? calls : undefined,
});

/** How many tokens a reply may have: `num_predict`, ten windows, and without a shift the room in the window. */
function tokenLimit({ request, numCtx, promptTokens }: Turn): number {
  const room = request.shift ? Infinity : numCtx - promptTokens + 1;
  return Math.min(askedLimit(request), 10 * numCtx, Math.max(room, 0));
}

function askedLimit(request: ChatRequest): number {
  const asked = numberOption(request, 'num_predict') ?? -1;
  return asked > 0 ? asked : Infinity;
}

const nanoseconds = (milliseconds: number): number => Math.max(1, Math.round(milliseconds * NS_PER_MS));
