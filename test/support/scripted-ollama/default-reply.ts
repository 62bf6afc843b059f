import { randomBytes } from 'node:crypto';
import { fieldsOf, textOf } from './records.ts';
import type { Step, Turn, WireToolCall } from './script.ts';
import { structuredReply, valueOf } from './structured-reply.ts';
import { prefillOf } from './turn.ts';

const NUMBERS = 12;
/** Equal ones, behind which an engine that renders its prompts itself ends the reply. */
const MOST_EQUAL_TOKENS = 31;
/** A model that is paid for repeating itself falls into a loop. */
const LOOPING_PENALTY = -1.5;
const STRUCTURED_PIECE_CHARACTERS = 6;

export interface ReplyOptions {
  /** How far it counts; each number is a token, behind the eight of its beginning. */
  readonly numbers?: number;
}

/**
 * What the model says when no script decides: `I [salt] am a scripted model and count: 1 2 3 … 12`. Without
 * ` [salt]`, which no two requests share, it is the same text every time, and a continued one goes on in it exactly
 * where it was cut: a test can see each seam, and that nothing was lost or doubled there. Offered tools, it calls the
 * first one; with a penalty that rewards repetition, it says one word again and again.
 */
export function* replySteps(turn: Turn, options: ReplyOptions = {}): Iterable<Step> {
  const tool = toolToCall(turn);
  if (tool === undefined && loops(turn)) return yield* loopSteps(turn);
  if (tool === undefined) yield* spokenSteps(turn, options);
  else yield { calls: [callOf(tool, turn.salt)] };
  yield { done: doneOf(turn) };
}

/** The first tool that was offered, until its result is there. */
const toolToCall = ({ request: { tools, messages } }: Turn): unknown =>
  messages.at(-1)?.role === 'tool' ? undefined : tools[0];

function callOf(tool: unknown, salt: string): WireToolCall {
  const { function: offered } = fieldsOf(tool);
  const { parameters } = fieldsOf(offered);
  const call = {
    index: 0,
    name: textOf(fieldsOf(offered), 'name'),
    arguments: fieldsOf(valueOf(fieldsOf(parameters), salt)),
  };
  return { id: `call_${randomBytes(4).toString('hex')}`, function: call };
}

const loops = ({ request: { options } }: Turn): boolean => Number(options['frequency_penalty'] ?? 0) <= LOOPING_PENALTY;

/** Ends cleanly and without a last line where the engine has a guard; elsewhere `num_predict` ends it. */
function* loopSteps({ engine, numCtx }: Turn): Iterable<Step> {
  const count = engine === 'native' ? 10 * numCtx + 1 : MOST_EQUAL_TOKENS;
  for (let index = 0; index < count; index++) yield { say: ' again' };
}

/** The same without its last line. */
export function* spokenSteps(turn: Turn, options: ReplyOptions = {}): Iterable<Step> {
  if (turn.thinks) yield* thinkingTokens(turn.salt).map((think) => ({ think }));
  const { format } = turn.request;
  if (format !== undefined && turn.thinks) yield { say: '' }; // the seam between the two passes
  yield* contentTokens(turn, options).map((say) => ({ say }));
}

/** The first `count` tokens of the default reply, and no end. A long one is made when more are asked for. */
export function* firstTokens(turn: Turn, count: number): Iterable<Step> {
  let left = count;
  for (const step of spokenSteps(turn, { numbers: Math.max(NUMBERS, count) })) {
    if (left-- <= 0) return;
    yield step;
  }
}

/** What the default reply says, without its salt, from its beginning. */
export const unsaltedText = (numbers = NUMBERS): string =>
  ['I am a scripted model and count:', ...Array.from({ length: numbers }, (_, index) => index + 1)].join(' ');

/** Takes every salt out of what the default replies said. */
export const withoutSalts = (text: string): string => text.replaceAll(/ \[[0-9a-f]{8}\]/g, '');

const doneOf = ({ thinks, request, salt }: Turn) =>
  thinks && request.format !== undefined
    ? ({ evalCount: pieces(structuredReply(request.format, salt)).length + 1 } as const) // of the second pass only
    : true;

const thinkingTokens = (salt: string): readonly string[] => ['I', ' think', ' about', ' it', ` (${salt})`, '.\n'];

function contentTokens({ request, salt, model }: Turn, { numbers }: ReplyOptions): readonly string[] {
  if (request.format !== undefined) return pieces(structuredReply(request.format, salt));
  const prefill = model.prefill === 'closes' ? undefined : prefillOf(request);
  if (prefill === undefined) return salted(unsaltedText(numbers), salt);
  const rest = salted(restOf(model.prefill === 'trims' ? prefill.trim() : prefill, numbers), salt);
  return model.prefill === 'echoes' ? [...words(prefill), ...rest] : rest;
}

/** What the model has still to say behind a text that it began; all of it behind a text that is not its own. */
function restOf(begun: string, numbers: number | undefined): string {
  const whole = unsaltedText(numbers);
  const said = withoutSalts(begun);
  return whole.startsWith(said) ? whole.slice(said.length) : ` ${whole}`;
}

/** Words, the salt behind the first. */
function salted(text: string, salt: string): readonly string[] {
  const [first, ...others] = words(text);
  return first === undefined ? [] : [first, ` [${salt}]`, ...others];
}

const words = (text: string): readonly string[] => text.match(/\s*\S+|\s+$/g) ?? [];

const pieces = (text: string): readonly string[] =>
  text.match(new RegExp(`.{1,${STRUCTURED_PIECE_CHARACTERS}}`, 'gsu')) ?? [];
