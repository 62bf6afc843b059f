import type { Clock, Ids } from '../../clock.ts';
import type { Deadlines } from '../../deadlines.ts';
import { BackendUnavailableError } from '../../errors.ts';
import type { Part, ProviderRequest } from '../provider.ts';
import { untilAborted } from '../until-aborted.ts';
import { toChatBody } from './chat-body.ts';
import type { KeepAlive } from './chat-body.ts';
import { streamChat } from './chat-stream.ts';
import type { OllamaModel } from './model-catalog.ts';
import type { Readiness } from './model-loader.ts';
import type { OllamaHost } from './ollama-host.ts';
import { endsInPrefill, streamOn } from './prefill.ts';
import { PrefillProbe } from './prefill-probe.ts';
import { PromptRate } from './prompt-rate.ts';
import type { Asking } from './prompt-rate.ts';

export interface HostChatsOptions {
  readonly host: OllamaHost;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly deadlines: Deadlines;
  readonly keepAlive: KeepAlive;
  /** How long a model that is loaded may say nothing. */
  readonly silenceMs: number;
  readonly loadTimeoutMs: number;
  /** Where a model stands now. It never throws. */
  readonly look: (model: OllamaModel) => Promise<Readiness>;
  readonly log?: HostLog;
}

export interface HostLog {
  warn(fields: Readonly<Record<string, unknown>>, sentence: string): void;
}

export interface HostChat {
  readonly request: ProviderRequest;
  readonly model: OllamaModel;
  /** As it was before the chat. */
  readonly readiness: Readiness;
  /** The other models that the host has, for messages. */
  readonly available: readonly string[];
  readonly signal: AbortSignal;
}

/** What needs no model, and no slot, is done within this time or not at all. */
const UNLOAD_MS = 5_000;

/** The chats with the models of one host, and what was learnt from them: who goes on with a text, and how fast each reads. */
export class HostChats implements Disposable {
  readonly #options: HostChatsOptions;
  readonly #probe: PrefillProbe;
  readonly #rate = new PromptRate();
  /** Chats that are under way, by the model's name. */
  readonly #running = new Map<string, number>();
  readonly #stop = new AbortController();

  constructor(options: HostChatsOptions) {
    this.#options = options;
    const { log } = options;
    this.#probe = new PrefillProbe({
      ...options,
      onUnknown: ({ name }, err) => log?.warn({ model: name, err }, 'whether a model goes on with a text is not known'),
    });
  }

  /**
   * One answer of a model that is loaded, or the rest of one. It ends when the host has let go: an abort before the
   * first byte is waited out until the prompt is read, by an estimate.
   * @throws LLMError, or the signal's reason
   */
  stream(chat: HostChat): AsyncGenerator<readonly Part[], void> {
    const { request, model, signal } = chat;
    const ask = (asked: ProviderRequest): AsyncGenerator<readonly Part[], void> =>
      this.#stream({ ...chat, request: asked });
    return streamOn({ request, model, signal, probe: this.#probe, chat: ask });
  }

  [Symbol.dispose](): void {
    this.#stop.abort(new BackendUnavailableError('The service is stopping. Ask again in a moment.'));
  }

  async *#stream({ request, model, readiness, available, signal }: HostChat): AsyncGenerator<readonly Part[], void> {
    const { host, clock, keepAlive, silenceMs, loadTimeoutMs, look, log } = this.#options;
    using running = this.#enter(model.name);
    const sentAt = clock.elapsed();
    yield* streamChat({
      ...this.#options,
      body: toChatBody(request, model, keepAlive),
      asked: { address: host.shownAddress, model: request.model, available },
      signal,
      ...(request.prefill === undefined ? {} : { prefill: request.prefill }),
      readsThinkTags: request.format === undefined && !endsInPrefill(request),
      firstLineMs: readiness === 'unknown' ? Math.max(loadTimeoutMs, silenceMs) : silenceMs,
      // Evicted in between, or nobody can tell: then it may be loading, and a load is not silence.
      isLoading: async () => {
        const now = await look(model);
        return now === 'silent' ? undefined : now === 'absent' || now === 'unknown';
      },
      onToolCall: () => log?.warn({ model: model.name }, 'a model called a tool that nobody had offered'),
      onDone: (line) => this.#rate.learn(model.name, line),
      onGivenUp: async ({ by, isLoaded }) => {
        running[Symbol.dispose]();
        const isStuck = by === 'silence' && isLoaded === true && !this.#running.has(model.name);
        if (isStuck) await untilAborted(this.#unload(model), signal);
        // A load ends when the one who waits for it leaves.
        if (by === 'left' && readiness !== 'unknown' && isLoaded !== false) {
          await this.#waitOut({ model: model.name, messages: request.messages, elapsedMs: clock.elapsed() - sentAt });
        }
      },
    });
  }

  #enter(model: string): Disposable {
    let isIn = true;
    this.#running.set(model, (this.#running.get(model) ?? 0) + 1);
    const leave = (): void => {
      if (!isIn) return;
      isIn = false;
      const others = (this.#running.get(model) ?? 1) - 1;
      if (others > 0) this.#running.set(model, others);
      else this.#running.delete(model);
    };
    return { [Symbol.dispose]: leave };
  }

  /**
   * Has a model unloaded that is shown as loaded and says nothing: a slot whose request left at a bad moment is never
   * free again before. Who asks next has it loaded. It never throws.
   */
  async #unload({ name }: OllamaModel): Promise<void> {
    const { host, log } = this.#options;
    log?.warn({ model: name, host: host.address }, 'a model that did not answer is unloaded');
    const body = { model: name, messages: [], keep_alive: 0, stream: false as const };
    try {
      await host.ask((client) => client.chat(body), { limitMs: UNLOAD_MS, signal: this.#stop.signal });
    } catch (err) {
      log?.warn({ model: name, host: host.address, err }, 'a model that did not answer is not unloaded');
    }
  }

  /** Waits until the host has read a prompt that nobody waits for any more, as far as that can be known. */
  async #waitOut(asking: Asking): Promise<void> {
    const ms = this.#rate.restMs(asking);
    if (ms > 0) await this.#options.clock.sleep(ms, this.#stop.signal).catch(() => undefined); // or the service closes
  }
}
