import type { Timings, Usage } from '../conversation/reply-event.ts';
import type { Part } from '../providers/provider.ts';

/** Counts a reply's tokens and times while its parts pass. */
export class ReplyTally {
  readonly #arrivedAt: number;
  readonly #promptTokens: number;
  #startedAt: number | undefined;
  #firstTokenAt: number | undefined;
  #loadMs = 0;
  #deltas = 0;
  #measured: { readonly promptTokens?: number; readonly completionTokens?: number } = {};

  /** `promptTokens` is the estimate, used where the backend does not count. */
  constructor(arrivedAt: number, promptTokens: number) {
    this.#arrivedAt = arrivedAt;
    this.#promptTokens = promptTokens;
  }

  /** The model's turn has not come. */
  wait(): void {
    this.#startedAt = undefined;
  }

  /** The model's turn has come. */
  start(now: number): void {
    this.#startedAt = now;
  }

  onPart(part: Part, now: number): void {
    if (part.type === 'text-delta') {
      this.#firstTokenAt ??= now;
      this.#deltas += part.deltas ?? 1; // a delta is a token, give or take: good enough for an estimate
    } else if (part.type === 'finish') {
      this.#measured = part;
    } else if (part.status.state === 'generating') {
      this.#loadMs = part.status.loadMs;
    }
  }

  /** What the backend counted of the prompt, if it did. */
  get measuredPromptTokens(): number | undefined {
    return this.#measured.promptTokens;
  }

  usage(): Usage {
    const { promptTokens, completionTokens } = this.#measured;
    return {
      promptTokens: promptTokens ?? this.#promptTokens,
      completionTokens: completionTokens ?? this.#deltas,
      source: promptTokens === undefined || completionTokens === undefined ? 'estimated' : 'measured',
    };
  }

  timings(now: number): Timings {
    return {
      queuedMs: (this.#startedAt ?? now) - this.#arrivedAt,
      loadMs: this.#loadMs,
      ...(this.#firstTokenAt !== undefined && { firstTokenMs: this.#firstTokenAt - this.#arrivedAt }),
      totalMs: now - this.#arrivedAt,
    };
  }
}
