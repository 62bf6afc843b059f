import type { ChatRequest } from './chat-request.ts';
import type { Gate } from './gate.ts';
import type { Engine } from './host.ts';
import type { ScriptedModel } from './models.ts';

/** A tool call as Ollama writes it; `id` is left out where the engine gives none. */
export interface WireToolCall {
  readonly id?: string;
  readonly function: {
    readonly index: number;
    readonly name: string;
    readonly arguments: Readonly<Record<string, unknown>>;
  };
}

/** What is unusual about a last line; null leaves the key out. */
export interface DoneFields {
  readonly reason?: string | null;
  readonly done?: boolean | null;
  readonly promptEvalCount?: number | null;
  readonly evalCount?: number | null;
  readonly content?: string;
  readonly thinking?: string;
  readonly calls?: readonly WireToolCall[];
  readonly extra?: Readonly<Record<string, unknown>>;
}

/** What a model says: lines when streamed, gathered into one object when not. One `say` or `think` is one token. */
export type SpokenStep =
  | { readonly say: string }
  | { readonly think: string }
  | { readonly calls: readonly WireToolCall[] }
  /** An error line, or, before the first line, a JSON body with the status (500). The reply ends with it. */
  | { readonly error: string; readonly status?: number }
  /** The last line. What follows is still played: end the script for HTTP's proper end, or `hang`. */
  | { readonly done: true | DoneFields };

/** What the wire does, whatever `stream` said. Before the first `write`, 200 and `application/x-ndjson` are sent. */
export type RawStep =
  /** One HTTP chunk. */
  | { readonly write: string | Uint8Array }
  /** A head of one's own; with a body it is the whole answer. */
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string }
  | { readonly waitMs: number }
  | { readonly waitFor: Gate | Promise<unknown> }
  /** Says nothing more, until the client leaves. */
  | { readonly hang: true }
  /** HTTP's proper end, now. A script that runs out ends so too. */
  | { readonly end: true }
  /** The connection closes in the middle; all that was written before arrives first. */
  | { readonly close: true }
  /** The connection is torn (TCP RST); what the client has not read yet is lost to it. */
  | { readonly reset: true }
  /** A process dies, with all that it was answering and all who waited for it: the model's runner, or Ollama itself. */
  | { readonly crash: Crash };

export type Crash = 'runner' | 'serve';

export type Step = SpokenStep | RawStep;

/** What a load does that is not the model's usual one. */
export interface LoadScript {
  readonly ms?: number;
  readonly waitFor?: Gate | Promise<unknown>;
  /** The load fails with 500 and this text. */
  readonly error?: string;
}

/** What happens in a download, after `pulling manifest`. A script that runs out ends the answer as it is. */
export type PullStep =
  /** How far a layer is. */
  | { readonly layer: string; readonly total: number; readonly completed?: number }
  /** Any other line: `{ error: '…' }`. */
  | { readonly line: Readonly<Record<string, unknown>> }
  | { readonly waitFor: Gate | Promise<unknown> }
  /** The lines of the end; from here on the host has the model. */
  | { readonly success: true }
  /** Says nothing more, until the client leaves. */
  | { readonly hang: true }
  /** The connection is torn. */
  | { readonly reset: true };

/** What a script may know of the request that it answers. */
export interface Turn {
  readonly request: ChatRequest;
  readonly model: ScriptedModel;
  /** Fresh for every request. */
  readonly salt: string;
  /** The context window in force. */
  readonly numCtx: number;
  readonly promptTokens: number;
  readonly engine: Engine;
  /** Whether the model thinks before it answers this. */
  readonly thinks: boolean;
  /** One line of the stream, newline included: envelope, then these fields in this order. */
  line(fields: Readonly<Record<string, unknown>>): string;
}

export type Steps = Iterable<Step> | AsyncIterable<Step>;

export interface Script {
  readonly steps: readonly Step[] | ((turn: Turn) => Steps);
  /** `arrival`: in place of every check, load and wait. `slot` (default): when the model would begin to generate. */
  readonly at?: 'arrival' | 'slot';
  /** Between two tokens. */
  readonly paceMs?: number;
  /** Goes on past `num_predict`. */
  readonly ignoresLimit?: boolean;
  /** The slot stays taken when the client leaves, until the model is unloaded. */
  readonly leaksSlot?: boolean;
  /** The runner is gone afterwards: the next request loads the model anew. */
  readonly killsRunner?: boolean;
  /** The model is loaded anew for this request, in this way. */
  readonly load?: LoadScript;
}

/** A script, its steps alone, or its name and arguments as a marker has them: `error-line:3`. */
export type ScriptLike = Script | readonly Step[] | string;
