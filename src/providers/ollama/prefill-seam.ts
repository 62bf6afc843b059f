/** So much of the beginning, said again, is an echo and no coincidence. */
const ECHO_CHARACTERS = 64;
/** A beginning that is shorter than this may well be said again. */
const SHORTEST_ECHO = 16;

/**
 * Joins new text to the text so far, which a model went on with. The text so far was sent without the white space at
 * its end, since many templates cut it off: what of it the model says again is dropped. So is an echo, where a
 * backend says the whole text so far again before it goes on. Whatever is neither passes; nothing is lost.
 */
export class PrefillSeam {
  /** The text so far, without the white space at its ends. */
  readonly #begun: string;
  /** The white space at its end, which is shown already. */
  readonly #gap: string;
  #place: 'echo' | 'gap' | 'through';
  #held = '';

  constructor(prefill: string) {
    const sent = prefill.trimEnd();
    this.#gap = prefill.slice(sent.length);
    this.#begun = sent.trimStart();
    this.#place = this.#begun.length < SHORTEST_ECHO ? 'gap' : 'echo';
  }

  /** What of the text so far and this piece is new; empty while that is undecided. */
  take(text: string): string {
    if (this.#place === 'through') return text;
    this.#held += text;
    if (this.#place === 'echo' && !this.#isEchoDecided()) return '';
    return this.#closeGap();
  }

  /** Nothing more comes: what is still held, unless it is an echo. */
  end(): string {
    const isEcho = this.#place === 'echo' && this.#held.trimStart().length >= ECHO_CHARACTERS;
    const rest = isEcho ? '' : this.#held.slice(this.#repeatedGap());
    this.#held = '';
    this.#place = 'through';
    return rest;
  }

  #isEchoDecided(): boolean {
    const said = this.#held.trimStart();
    if (said.length < this.#begun.length && this.#begun.startsWith(said)) return false;
    if (said.startsWith(this.#begun)) this.#held = said.slice(this.#begun.length);
    this.#place = 'gap';
    return true;
  }

  #closeGap(): string {
    const repeated = this.#repeatedGap();
    if (repeated === this.#held.length && repeated < this.#gap.length) return ''; // more of it may come
    return this.end();
  }

  #repeatedGap(): number {
    let length = 0;
    while (length < this.#gap.length && this.#held[length] === this.#gap[length]) length++;
    return length;
  }
}
