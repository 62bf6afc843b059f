/** A measured prompt moves the correction by this share: models differ, prompts of one model much less. */
const WEIGHT = 0.5;
/** Below it a prompt is mostly template, and says nothing about its text. */
const MIN_TOKENS = 8;
const BOUNDS = { min: 0.25, max: 8 };
/** The estimate of a prompt that was refused was too low by an unknown amount. */
const OVERFLOW_FACTOR = 1.2;

/**
 * How many tokens of a model an estimated token is, learnt from what the backend counts. The first count is
 * believed at once; later ones are averaged.
 */
export class TokenCalibration {
  readonly #corrections = new Map<string, number>();

  /** What estimates for `model` are to be multiplied by. */
  correction(model: string): number {
    return this.#corrections.get(model) ?? 1;
  }

  /** The backend counted `measured` tokens where `estimated` were estimated, uncorrected. */
  learn(model: string, estimated: number, measured: number): void {
    if (estimated < MIN_TOKENS || measured < MIN_TOKENS) return;
    const known = this.#corrections.get(model);
    const seen = measured / estimated;
    this.#set(model, known === undefined ? seen : known + (seen - known) * WEIGHT);
  }

  /** The backend refused a prompt, estimated at `estimated` uncorrected, as longer than `contextWindow`. */
  learnOverflow(model: string, estimated: number, contextWindow: number): void {
    this.#set(model, Math.max(this.correction(model), contextWindow / Math.max(estimated, 1)) * OVERFLOW_FACTOR);
  }

  #set(model: string, correction: number): void {
    this.#corrections.set(model, Math.min(BOUNDS.max, Math.max(BOUNDS.min, correction)));
  }
}
