import type { PromptMessage } from '../provider.ts';
import type { Line } from './line-reader.ts';

/** Of a short prompt the time says more about everything else. */
const FEWEST_TOKENS = 32;
/** How much the newest figure counts. */
const WEIGHT = 0.3;
const CHARACTERS_PER_TOKEN = 3.1;
const NS_PER_MS = 1_000_000;
const LONGEST_REST_MS = 60_000;

export interface Asking {
  /** As the host lists it. */
  readonly model: string;
  readonly messages: readonly PromptMessage[];
  /** Since the request was sent. */
  readonly elapsedMs: number;
}

/**
 * How fast the models of one host read their prompts, by what their last lines say. Many versions of Ollama read a
 * prompt to its end although the one who sent it has left: until then the slot is taken.
 */
export class PromptRate {
  /** A moving mean for each model. */
  readonly #msPerToken = new Map<string, number>();

  /** Takes the figures of an answer's last line. */
  learn(model: string, line: Line): void {
    // Newer versions say how many tokens of the prompt were known from before, and cost nothing.
    const tokens = toNumber(line['prompt_eval_count']) - toNumber(line['prompt_eval_cached_count']);
    const ms = toNumber(line['prompt_eval_duration']) / NS_PER_MS;
    if (tokens < FEWEST_TOKENS || ms <= 0) return;
    const mean = this.#msPerToken.get(model) ?? ms / tokens;
    this.#msPerToken.set(model, mean + WEIGHT * (ms / tokens - mean));
  }

  /** For how long a host still reads a prompt that nobody waits for any more: an estimate; 0 where nothing is known. */
  restMs({ model, messages, elapsedMs }: Asking): number {
    const msPerToken = this.#msPerToken.get(model) ?? 0;
    const characters = messages.reduce((sum, { content }) => sum + content.length, 0);
    const wholeMs = (characters / CHARACTERS_PER_TOKEN) * msPerToken;
    return Math.min(LONGEST_REST_MS, Math.max(0, wholeMs - elapsedMs));
  }
}

const toNumber = (value: unknown): number => (typeof value === 'number' && Number.isFinite(value) ? value : 0);
