import type { Ids } from '../../clock.ts';
import { toLoadOptions, toNoThinking } from './chat-body.ts';
import type { KeepAlive } from './chat-body.ts';
import { isObject } from './line-reader.ts';
import type { OllamaModel } from './model-catalog.ts';
import type { OllamaHost } from './ollama-host.ts';

export interface PrefillProbeOptions {
  readonly host: OllamaHost;
  readonly ids: Ids;
  readonly keepAlive: KeepAlive;
  /** Told when a host could not say it. */
  readonly onUnknown?: (model: OllamaModel, error: unknown) => void;
}

interface Verdict {
  readonly digest: string;
  readonly continues: Promise<boolean>;
}

/**
 * Which models of a host go on with an assistant message that ends the prompt. It is the template that decides, so
 * the host is asked once for each digest to render such a prompt: it goes on where nothing stands behind the text.
 * The field that asks for it (`_debug_render_only`) is not documented: who does not know it cannot go on.
 */
export class PrefillProbe {
  readonly #options: PrefillProbeOptions;
  /** By name: of each model, what is known of its last digest. */
  readonly #verdicts = new Map<string, Verdict>();

  constructor(options: PrefillProbeOptions) {
    this.#options = options;
  }

  /** Whether the model goes on with a text; false, for this time, when the host does not say. It never throws. */
  continues(model: OllamaModel): Promise<boolean> {
    const { name, digest } = model;
    const known = this.#verdicts.get(name);
    if (known?.digest === digest) return known.continues;
    const verdict: Verdict = {
      digest,
      continues: this.#ask(model).catch((error: unknown) => {
        if (this.#verdicts.get(name) === verdict) this.#verdicts.delete(name); // the next one asks again
        this.#options.onUnknown?.(model, error);
        return false;
      }),
    };
    this.#verdicts.set(name, verdict);
    return verdict.continues;
  }

  /** It has refused a text to go on with, whatever its template shows. */
  refuse({ name, digest }: OllamaModel): void {
    this.#verdicts.set(name, { digest, continues: Promise.resolve(false) });
  }

  async #ask(model: OllamaModel): Promise<boolean> {
    const { host, ids, keepAlive } = this.#options;
    const begun = `probe-${ids.newId()}`;
    const load = toLoadOptions(model, keepAlive); // with others, Ollama would load the model anew
    const body = {
      ...load,
      options: { ...load.options, num_predict: 1 }, // for a host that answers instead
      stream: false as const,
      think: toNoThinking(model),
      _debug_render_only: true,
      messages: [
        { role: 'user', content: 'U' },
        { role: 'assistant', content: begun },
      ],
    };
    const answer: unknown = await host.ask((client) => client.chat(body), { asked: { model: model.name } });
    const shown = isObject(answer) && isObject(answer['_debug_info']) ? answer['_debug_info'] : {};
    const prompt = shown['rendered_template'];
    return typeof prompt === 'string' && prompt.endsWith(begun);
  }
}
