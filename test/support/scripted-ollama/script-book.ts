import { type ChatRequest, lastUserText } from './chat-request.ts';
import { replySteps } from './default-reply.ts';
import type { Script, ScriptLike } from './script.ts';
import { namedScripts } from './scripts/named-scripts.ts';

const MARKER = /\[\[([a-z][a-z0-9-]*(?::.*?)?)\]\]/s;

export interface Chosen {
  readonly script: Script;
  /** As the ledger names it; undefined for the default reply. */
  readonly name: string | undefined;
}

/** Decides what answers a request: the scripts put in line, then a marker in the last user message, then the default. */
export class ScriptBook {
  readonly #line: Chosen[] = [];
  readonly #attempts = new Map<string, number>();

  /** Puts a script in line; throws at once when no script has that name. */
  next(script: ScriptLike): void {
    this.#line.push(toChosen(script));
  }

  choose(request: ChatRequest): Chosen {
    if (request.debugRenderOnly) return defaultReply;
    const queued = this.#line.shift();
    if (queued) return queued;
    const text = lastUserText(request.messages);
    const [, marker] = MARKER.exec(text) ?? [];
    return marker === undefined ? defaultReply : this.#marked(marker, text);
  }

  /** `[[first:2:busy]]` is busy at the first two attempts with this very message, and the default reply then. */
  #marked(marker: string, text: string): Chosen {
    const [, times, inner] = /^first:(\d+):(.*)$/s.exec(marker) ?? [];
    if (times === undefined || inner === undefined) return toChosen(marker);
    const attempts = (this.#attempts.get(text) ?? 0) + 1;
    this.#attempts.set(text, attempts);
    return attempts <= Number(times) ? toChosen(inner) : defaultReply;
  }
}

const defaultReply: Chosen = { script: { steps: (turn) => replySteps(turn) }, name: undefined };

function toChosen(script: ScriptLike): Chosen {
  if (typeof script !== 'string') return { script: 'steps' in script ? script : { steps: script }, name: '(given)' };
  const [name = '', ...given] = script.split(':');
  const make = namedScripts[name];
  if (!make) throw new Error(`the scripted Ollama has no script named ${name}`);
  return { script: make(given), name: script };
}
