import { firstTokens, replySteps, spokenSteps } from '../default-reply.ts';
import type { DoneFields, Script, Step, Turn } from '../script.ts';
import { type ScriptMakers, numberAt } from './maker.ts';

/** The default reply with an unusual last line. */
const endingWith = (fields: (turn: Turn) => DoneFields): Script => ({
  *steps(turn) {
    yield* spokenSteps(turn);
    yield { done: fields(turn) };
  },
});

function* forEver(steps: (index: number) => Step): Iterable<Step> {
  for (let index = 0; ; index++) yield steps(index);
}

/** Replies of unusual length, pace, content or counts. */
export const replies: ScriptMakers = {
  /** Counts to a number, at a pace: `long:500:20` */
  long: (given) => ({
    steps: (turn) => replySteps(turn, { numbers: numberAt(given, 0, 100) }),
    ...(given[1] ? { paceMs: Number(given[1]) } : {}),
  }),
  /** The default reply at a pace: `pace:20` */
  pace: (given) => ({ steps: (turn) => replySteps(turn), paceMs: numberAt(given, 0, 20) }),
  /** A text of the test's own, unsalted: `say:Hello there` */
  say: (given) => ({
    *steps() {
      for (const say of given.join(':').match(/\s*\S+/g) ?? []) yield { say };
      yield { done: true };
    },
  }),
  /** Characters of two, three and four bytes, and what Go's JSON escapes. */
  unicode: () => ({
    *steps({ salt }) {
      for (const say of ['Grüße', ' aus', ' 東京', ' 😀', '👩‍👩‍👧', ' <b>&', ` [${salt}]`]) yield { say };
      yield { done: true };
    },
  }),
  /** The thinking took all of `num_predict`. */
  'thinking-only': () => ({
    *steps({ salt }) {
      for (const think of ['I', ' think', ' and', ' think', ` (${salt})`]) yield { think };
      yield { done: { reason: 'length', evalCount: 5 } };
    },
  }),
  /** `thinking-then-error:3` */
  'thinking-then-error': (given) => ({
    *steps({ salt }) {
      for (let index = 0; index < numberAt(given, 0, 3); index++) yield { think: ` ${index} (${salt})` };
      yield { error: 'invalid format: "\\"yaml\\""; expected "json" or a valid JSON Schema object' };
    },
  }),
  /** Nothing, and a good end: tokens were counted, none was text. */
  empty: () => ({ steps: [{ done: { evalCount: 3 } }] }),
  /** The last line alone, cut inside a tag that was held back. */
  'done-alone': () => ({ steps: [{ done: { reason: 'length', evalCount: 5 } }] }),
  /** The last line carries the end of the text. */
  'done-with-content': () => endingWith(() => ({ content: ' and the end' })),
  /** An empty line in the middle, as between the two passes of `format` with thinking. */
  'empty-line': () => ({
    *steps(turn) {
      yield* firstTokens(turn, 3);
      yield { say: '' };
      yield* replySteps(turn);
    },
  }),
  /** Keys that no version of Ollama sends yet, and one that only newer ones do. */
  'extra-fields': () =>
    endingWith(() => ({ extra: { prompt_eval_cached_count: 0, shape: { of: ['things to come'] } } })),
  'no-prompt-count': () => endingWith(() => ({ promptEvalCount: null })),
  'no-counts': () => endingWith(() => ({ promptEvalCount: null, evalCount: null })),
  /** The prompt was cut to half the window, as newer engines do in silence. */
  'prompt-half': () => endingWith(({ numCtx }) => ({ promptEvalCount: numCtx - Math.floor((numCtx - 4) / 2) })),
  /** The prompt was cut to the whole window, as older engines do in silence. */
  'prompt-full': () => endingWith(({ numCtx }) => ({ promptEvalCount: numCtx })),
  length: () => endingWith(() => ({ reason: 'length' })),
  /** The same token so many times, then a clean end without a last line: the guard of the rendered path. `repeat:31` */
  repeat: (given) => ({
    *steps() {
      for (let index = 0; index < numberAt(given, 0, 31); index++) yield { say: ' again' };
    },
  }),
  /** The same token for ever; `num_predict` does not end it. */
  'repeat-for-ever': (given) => ({
    ignoresLimit: true,
    paceMs: numberAt(given, 0, 0),
    steps: () => forEver(() => ({ say: ' again' })),
  }),
  /** New tokens for ever, at a pace; `num_predict` does not end it. `endless:5` */
  endless: (given) => ({
    ignoresLimit: true,
    paceMs: numberAt(given, 0, 0),
    steps: ({ salt }) => forEver((index) => ({ say: index === 0 ? `[${salt}]` : ` ${index}` })),
  }),
  /** Thinks for ever. */
  'endless-thinking': (given) => ({
    ignoresLimit: true,
    paceMs: numberAt(given, 0, 0),
    steps: ({ salt }) => forEver((index) => ({ think: index === 0 ? `[${salt}]` : ` ${index}` })),
  }),
};
