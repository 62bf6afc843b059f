import { firstTokens, replySteps } from '../default-reply.ts';
import { type ScriptMakers, numberAt } from './maker.ts';

/** Good replies, late. Times are milliseconds. */
export const delays: ScriptMakers = {
  /** No head before the time is over: a long prompt, or a line in front of the slot. `slow-start:200` */
  'slow-start': (given) => ({
    *steps(turn) {
      yield { waitMs: numberAt(given, 0, 100) };
      yield* replySteps(turn);
    },
  }),
  /** The model is loaded for this request, even when it was. `slow-load:200` */
  'slow-load': (given) => ({ load: { ms: numberAt(given, 0, 100) }, steps: (turn) => replySteps(turn) }),
  /** A pause behind so many tokens. `pause:3:200` */
  pause: (given) => ({
    *steps(turn) {
      const tokens = numberAt(given, 0, 3);
      let said = 0;
      for (const step of replySteps(turn)) {
        if (said++ === tokens) yield { waitMs: numberAt(given, 1, 100) };
        yield step;
      }
    },
  }),
  /** No head, ever. */
  stall: (given) => ({
    *steps(turn) {
      yield* firstTokens(turn, numberAt(given, 0, 0));
      yield { hang: true };
    },
  }),
};
