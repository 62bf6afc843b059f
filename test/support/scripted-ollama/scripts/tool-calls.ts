import { randomBytes } from 'node:crypto';
import { replySteps } from '../default-reply.ts';
import { type Fields, fieldsOf } from '../records.ts';
import type { Step, Turn, WireToolCall } from '../script.ts';
import type { ScriptMakers } from './maker.ts';

/** Names and arguments come from the marker: `tool:get_weather:{"city":"Oslo"}`. */
const callOf = ([name = 'get_weather', ...rest]: readonly string[], index = 0): WireToolCall => ({
  function: { index, name, arguments: argumentsOf(rest.join(':')) },
});

const withId = (call: WireToolCall): WireToolCall => ({ id: `call_${randomBytes(4).toString('hex')}`, ...call });

/** Calls before there is a result behind the last user message, and says the default reply then. */
const callingOnce = (call: (turn: Turn) => Iterable<Step>) =>
  function* steps(turn: Turn): Iterable<Step> {
    if (turn.request.messages.at(-1)?.role === 'tool') yield* replySteps(turn);
    else yield* call(turn);
  };

/** Calls of tools, offered or not. */
export const toolCalls: ScriptMakers = {
  /** A call in a line of its own, before the last. */
  tool: (given) => ({ steps: callingOnce(() => [{ calls: [withId(callOf(given))] }, { done: true }]) }),
  /** The same behind some thinking and text. */
  'tool-after-text': (given) => ({
    *steps(turn) {
      yield* callingOnce(({ thinks, salt }) => [
        ...(thinks ? [{ think: `I need a tool (${salt}).` }] : []),
        { say: 'Let me' },
        { say: ` look [${salt}].` },
        { calls: [withId(callOf(given))] },
        { done: true },
      ])(turn);
    },
  }),
  /** Two calls on the last line, without ids: the native path. */
  'two-tools': ([name = 'get_weather', ...rest]) => ({
    steps: callingOnce(() => [{ done: { calls: [callOf([name, ...rest], 0), callOf([name, ...rest], 1)] } }]),
  }),
  /** Two calls in a line each, with ids: the rendered path. */
  'two-tool-lines': ([name = 'get_weather', ...rest]) => ({
    steps: callingOnce(() => [
      { calls: [withId(callOf([name, ...rest], 0))] },
      { calls: [withId(callOf([name, ...rest], 1))] },
      { done: true },
    ]),
  }),
  /** Calls in every round, whatever came back. */
  'tool-for-ever': (given) => ({ steps: () => [{ calls: [withId(callOf(given))] }, { done: true }] }),
  /** A call, then an error line. */
  'tool-then-error': (given) => ({
    steps: callingOnce(() => [
      { calls: [withId(callOf(given))] },
      { error: 'an error was encountered while running the model: unexpected EOF' },
    ]),
  }),
};

const argumentsOf = (json: string): Fields => (json === '' ? { city: 'Oslo' } : fieldsOf(JSON.parse(json)));
