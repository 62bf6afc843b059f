import type { Clock } from '../../src/clock.ts';
import { Deadlines } from '../../src/deadlines.ts';
import { HostChats } from '../../src/providers/ollama/host-chats.ts';
import type { OllamaModel } from '../../src/providers/ollama/model-catalog.ts';
import type { Readiness } from '../../src/providers/ollama/model-loader.ts';
import { OllamaHost } from '../../src/providers/ollama/ollama-host.ts';
import type { Part, ProviderRequest } from '../../src/providers/provider.ts';
import { systemClock, systemIds } from '../../src/system.ts';
import { ScriptedOllama } from '../support/scripted-ollama/scripted-ollama.ts';
import type { ModelOptions, Prefill, ScriptedOllamaOptions } from '../support/scripted-ollama/scripted-ollama.ts';
import { hear, toRequest } from './ollama-rig.ts';
import type { Heard } from './ollama-rig.ts';

export interface HostChatsRigOptions {
  readonly ollama?: ScriptedOllamaOptions;
  readonly clock?: Clock;
  readonly silenceMs?: number;
  readonly loadTimeoutMs?: number;
}

export interface Question extends Partial<ProviderRequest> {
  readonly readiness?: Readiness;
  readonly digest?: string;
  /** Of the model; all but `llama`, which is the default, think. */
  readonly family?: string;
}

/** A model for each kind of prefill, named after it, and one on whose host nobody knows how to render a prompt. */
const KINDS: readonly Prefill[] = ['continues', 'closes', 'trims', 'refuses', 'echoes'];
export const prefillModels: readonly ModelOptions[] = [
  ...KINDS.map((prefill) => ({ name: prefill, prefill })),
  { name: 'undebugged', prefill: 'continues', rendersDebug: false },
];

/** A scripted Ollama and the chats with it, without the load in front of each. */
export class HostChatsRig implements AsyncDisposable {
  readonly ollama: ScriptedOllama;
  readonly chats: HostChats;
  /** What was warned of. */
  readonly warnings: string[] = [];
  readonly #host: OllamaHost;
  readonly #deadlines: Deadlines;

  private constructor(ollama: ScriptedOllama, options: HostChatsRigOptions) {
    const { clock = systemClock, silenceMs = 30_000, loadTimeoutMs = 300_000 } = options;
    this.ollama = ollama;
    this.#deadlines = new Deadlines(clock);
    this.#host = new OllamaHost({ baseUrl: ollama.url, connectTimeoutMs: 2_000, deadlines: this.#deadlines });
    this.chats = new HostChats({
      host: this.#host,
      clock,
      ids: systemIds,
      deadlines: this.#deadlines,
      keepAlive: '30m',
      silenceMs,
      loadTimeoutMs,
      look: (model) => this.#look(model),
      log: { warn: (_fields, sentence) => void this.warnings.push(sentence) },
    });
  }

  static async open(options: HostChatsRigOptions = {}): Promise<HostChatsRig> {
    return new HostChatsRig(await ScriptedOllama.start({ models: prefillModels, ...options.ollama }), options);
  }

  /** All that comes of one request. */
  ask(question?: Question, signal?: AbortSignal): Promise<Heard> {
    return hear(this.stream(question, signal));
  }

  stream(
    question: Question = {},
    signal: AbortSignal = new AbortController().signal,
  ): AsyncGenerator<readonly Part[], void> {
    const { readiness = 'ready', digest = 'one', family = 'llama', ...request } = question;
    const asked = toRequest({ model: 'continues', ...request });
    const model: OllamaModel = {
      name: `${asked.model}:latest`,
      digest,
      family,
      contextWindow: 2048,
      trainedLength: 2048,
      capabilities: ['completion', ...(family === 'llama' ? [] : (['thinking'] as const))],
    };
    return this.chats.stream({ request: asked, model, readiness, available: [], signal });
  }

  /** The bodies of the requests that asked for nothing but a rendered prompt. */
  get probes(): readonly Body[] {
    return this.bodies.filter((body) => body['_debug_render_only'] === true);
  }

  /** Of all requests for a reply, the bodies. */
  get replies(): readonly Body[] {
    return this.bodies.filter((body) => body['stream'] === true);
  }

  get bodies(): readonly Body[] {
    // What this side sends is a JSON object; nothing, of a request that was not read.
    return this.ollama.ledger.requestsTo('/api/chat').map(({ body }) => (body ?? {}) as Body);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.chats[Symbol.dispose]();
    await this.#host[Symbol.asyncDispose]();
    this.#deadlines[Symbol.dispose]();
    await this.ollama.stop();
  }

  async #look({ name }: OllamaModel): Promise<Readiness> {
    const { models } = await this.#host.ask((client) => client.ps());
    return models.some((each) => each.name === name) ? 'ready' : 'absent';
  }
}

export type Body = Readonly<Record<string, unknown>>;
