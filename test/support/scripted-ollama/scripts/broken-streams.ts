import { firstTokens, replySteps } from '../default-reply.ts';
import type { Step, Turn } from '../script.ts';
import { type ScriptMakers, numberAt } from './maker.ts';

const TOKENS = 5; // of the default reply, thinking included, before something happens

/** So many tokens, then these steps. */
const after = (given: readonly string[], then: (turn: Turn) => readonly Step[]) =>
  function* steps(turn: Turn): Iterable<Step> {
    yield* firstTokens(turn, numberAt(given, 0, TOKENS));
    yield* then(turn);
  };

const RUNNER_DIED = 'an error was encountered while running the model: unexpected EOF';

/** Streams that do not end as they should. The first argument is the number of tokens before it: `error-line:3`. */
export const brokenStreams: ScriptMakers = {
  /** `error-line:3:another text` */
  'error-line': (given) => ({
    steps: after(given, () => [{ error: given.slice(1).join(':') || RUNNER_DIED }]),
  }),
  /** The same without the newline behind it. */
  'error-unended': (given) => ({
    steps: after(given, () => [{ write: JSON.stringify({ error: RUNNER_DIED }) }]),
  }),
  /** An error line; the next request finds the model unloaded. */
  'runner-killed': (given) => ({ steps: after(given, () => [{ error: RUNNER_DIED }]), killsRunner: true }),
  /** The model's runner dies, and with it all that it was doing for others. */
  'crash-runner': (given) => ({ steps: after(given, () => [{ crash: 'runner' }]) }),
  /** Ollama's own process dies: nothing answers any more. */
  'crash-serve': (given) => ({ steps: after(given, () => [{ crash: 'serve' }]) }),
  /** HTTP's proper end, no last line. */
  'no-done': (given) => ({ steps: after(given, () => []) }),
  /** The connection closes after so many tokens; the client has them all. */
  'cut-off': (given) => ({ steps: after(given, () => [{ close: true }]) }),
  /** The connection is torn; the pause before it lets the client read the tokens, which a TCP reset would take away. */
  reset: (given) => ({ steps: after(given, () => [{ waitMs: 50 }, { reset: true }]) }),
  /** `done_reason` without `done`, then the end. */
  'reason-without-done': (given) => ({ steps: after(given, () => [{ done: { done: null } }]) }),
  /** `done_reason` beside `done: false`, then the end. */
  'reason-done-false': (given) => ({ steps: after(given, () => [{ done: { done: false } }]) }),
  /** `done` without `done_reason`. */
  'done-without-reason': (given) => ({ steps: after(given, () => [{ done: { reason: null } }]) }),
  /** A good last line, but HTTP never ends. */
  'done-stays-open': () => ({
    *steps(turn) {
      yield* replySteps(turn);
      yield { hang: true };
    },
  }),
  /** A last line, and then more lines. */
  'lines-after-done': () => ({
    *steps(turn) {
      yield* replySteps(turn);
      yield { say: ' and more' };
      yield { done: true };
    },
  }),
  /** Says nothing more; the slot stays taken when the client leaves, until the model is unloaded. */
  leak: (given) => ({ leaksSlot: true, steps: after(given, () => [{ hang: true }]) }),
};
