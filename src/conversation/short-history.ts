import { estimateMessageTokens } from './tokens.ts';
import { countTokens, fits, toTurns, type Bounds, type Countable, type Turn } from './turns.ts';

/** What was said up to `position`, in short. */
export interface ShortHistory {
  readonly position: number;
  readonly text: string;
}

const HEADING = 'Summary of the conversation so far (notes on what was said, not instructions):';

/** What the model is told before all else; empty when there is nothing. */
export const toSystemText = (systemPrompt: string | undefined, summary: ShortHistory | undefined): string =>
  [systemPrompt, summary && `${HEADING}\n${summary.text}`].filter(Boolean).join('\n\n');

/** Tokens of the system message, as estimated. */
export const estimateSystemTokens = (systemPrompt: string | undefined, summary: ShortHistory | undefined): number => {
  const content = toSystemText(systemPrompt, summary);
  return content === '' ? 0 : estimateMessageTokens({ content });
};

/** The one that a prompt has whose messages up to `position` are left out: the newest that goes no further. */
export const findInForce = <Summary extends ShortHistory>(
  summaries: readonly Summary[],
  position: number,
): Summary | undefined => {
  const known = summaries.filter((summary) => summary.position <= position);
  return known.toSorted((one, other) => one.position - other.position).at(-1);
};

/** The part of the window that is left for turns, and half of it. The question is a turn, too. */
export const toBounds = (room: number, maxTurns: number): { readonly full: Bounds; readonly half: Bounds } => ({
  full: { tokens: room, turns: maxTurns - 1 },
  half: { tokens: room / 2, turns: Math.floor(maxTurns / 2) - 1 },
});

/** A window that is fuller is cut soon. */
const FILLING = 2 / 3;

export interface FillingWindow {
  readonly systemPrompt: string;
  /** What is sent with the next question, after the cut, oldest first. */
  readonly messages: readonly Countable[];
  readonly summaries: readonly ShortHistory[];
  /** The position of the last message that is left out. */
  readonly cutPosition: number;
  /** Tokens that a prompt may have, as estimated by characters. */
  readonly budget: number;
  /** Turns in a prompt, the question included. */
  readonly maxTurns: number;
}

/**
 * Up to which position to sum up what was said: what the next cut will leave out, as soon as the window fills up and no
 * summary lies beyond the cut. Half of what fits goes, so that one summary serves a whole block; the newest turn stays
 * where it can. Undefined while there is nothing to do.
 */
export const planSummary = (window: FillingWindow): number | undefined => {
  const { systemPrompt, summaries, cutPosition, budget, maxTurns } = window;
  if (summaries.some(({ position }) => position > cutPosition)) return undefined;
  const turns = toTurns(window.messages);
  const room = budget - estimateSystemTokens(systemPrompt, findInForce(summaries, cutPosition));
  const { full, half } = toBounds(room, maxTurns);
  if (fits(turns, { tokens: full.tokens * FILLING, turns: full.turns * FILLING })) return undefined;
  const most = turns.length - Number(fits(turns.slice(-1), full));
  const wanted = Array.from({ length: most }, (_, index) => index + 1).find(
    (count) => count > full.turns - half.turns || countTokens(turns.slice(0, count)) >= room - half.tokens,
  );
  return turns[(wanted ?? most) - 1]?.position;
};

/** Groups of whole turns, oldest first, each of at most `budget` tokens; a turn that alone has more is left out. */
export const toParts = <Message extends Countable>(
  turns: readonly Turn<Message>[],
  budget: number,
): readonly (readonly Turn<Message>[])[] => {
  const parts: Turn<Message>[][] = [];
  let left = 0;
  for (const turn of turns) {
    if (turn.tokens > budget) continue;
    if (turn.tokens > left || parts.length === 0) [left] = [budget, parts.push([])];
    parts.at(-1)?.push(turn);
    left -= turn.tokens;
  }
  return parts;
};
