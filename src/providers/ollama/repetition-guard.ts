const SAME_DELTAS = 100;
/** Deltas, of the longest phrase that is watched for. */
const LONGEST_PHRASE = 20;
const LOOP_DELTAS = 100;
const BLANK = ' ';

/**
 * Notices a model that has fallen into a loop: the same delta more than 100 times in a row, all white space counting
 * as the same, or a phrase of at most 20 deltas again and again over 100 of them. Ollama itself has such a guard on
 * one of its two paths only, and a small model repeats for ever.
 */
export class RepetitionGuard {
  /** The last deltas, in a ring. */
  readonly #recent = Array.from({ length: LONGEST_PHRASE }, () => '');
  /** Of each a number that seldom is another's: most comparisons end there. */
  readonly #sketches = new Int32Array(LONGEST_PHRASE);
  /** At a length: how many deltas in a row were the same as the one so many before. */
  readonly #repeated = Array.from({ length: LONGEST_PHRASE + 1 }, () => 0);
  #at = 0;

  /** Takes the next delta, never empty, and says whether the model is stuck. A few comparisons per token. */
  isStuck(text: string): boolean {
    const delta = text.trim() === '' ? BLANK : text;
    const sketch = toSketch(delta);
    let isPhrase = false;
    for (let length = 1; length <= LONGEST_PHRASE; length++) {
      const at = (this.#at + LONGEST_PHRASE - length) % LONGEST_PHRASE;
      const isSame = this.#sketches[at] === sketch && this.#recent[at] === delta;
      const repeated = isSame ? (this.#repeated[length] ?? 0) + 1 : 0;
      this.#repeated[length] = repeated;
      isPhrase ||= repeated + length >= LOOP_DELTAS;
    }
    this.#recent[this.#at] = delta;
    this.#sketches[this.#at] = sketch;
    this.#at = (this.#at + 1) % LONGEST_PHRASE;
    const sameBefore = this.#repeated[1] ?? 0;
    // A phrase of one and the same delta is the first rule's.
    return sameBefore >= SAME_DELTAS || (isPhrase && sameBefore < LONGEST_PHRASE - 1);
  }
}

/** Its length, its first and its last unit. */
const toSketch = (delta: string): number =>
  (delta.length << 24) ^ (delta.charCodeAt(0) << 12) ^ delta.charCodeAt(delta.length - 1);
