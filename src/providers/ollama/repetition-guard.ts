const SAME_DELTAS = 100;
const GRAM = 20;
const SAME_GRAMS = 5;

/**
 * Notices a model that has fallen into a loop: the same delta more than 100 times in a row, or the same 20 deltas
 * 5 times in a row. Ollama itself has such a guard on one of its two paths only, and a small model repeats for ever.
 */
export class RepetitionGuard {
  readonly #recent: string[] = [];
  #at = 0;
  #sameDeltas = 0;
  #sameAsGramBefore = 0;
  #last = '';

  /** Takes the next delta, never empty, and says whether the model is stuck. A few comparisons per token. */
  isStuck(delta: string): boolean {
    this.#sameDeltas = delta === this.#last ? this.#sameDeltas + 1 : 1;
    this.#last = delta;
    this.#sameAsGramBefore = delta === this.#recent[this.#at] ? this.#sameAsGramBefore + 1 : 0;
    this.#recent[this.#at] = delta;
    this.#at = (this.#at + 1) % GRAM;
    // A gram of one and the same delta is the first rule's.
    const isGramLoop = this.#sameAsGramBefore >= GRAM * (SAME_GRAMS - 1) && this.#sameDeltas < GRAM;
    return isGramLoop || this.#sameDeltas > SAME_DELTAS;
  }
}
