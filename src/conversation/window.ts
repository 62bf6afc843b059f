import { estimateMessageTokens } from './tokens.ts';
import type { StoredMessage } from './message.ts';

/** Where the view that is sent begins; see `Cut` of the store. */
interface CutPoint {
  readonly position: number;
  readonly droppedTurns: number;
}

export interface WindowInput {
  readonly systemPrompt?: string;
  /** Sendable messages after the cut, oldest first. */
  readonly messages: readonly StoredMessage[];
  /** What is asked now. */
  readonly question: { readonly content: string; readonly images?: readonly string[] };
  /** The answer so far, where the model goes on with one. */
  readonly prefill?: string;
  readonly cut: CutPoint;
  /** Tokens of prompt and answer together. */
  readonly contextWindow: number;
  /** Kept free for the answer. */
  readonly maxTokens: number;
  /** Turns in the prompt, the new one included. */
  readonly maxTurns: number;
  /** What the estimate is multiplied by for this model, learnt from its counts; 1 is as estimated. */
  readonly correction: number;
}

export interface Window {
  readonly type: 'fits';
  /** The history that is sent. */
  readonly messages: readonly StoredMessage[];
  readonly cut: CutPoint;
  readonly keptTurns: number;
  /** Of the whole prompt, corrected. */
  readonly estimatedTokens: number;
  /** Of the whole prompt, as estimated by characters: what the backend's count is held against. */
  readonly rawTokens: number;
}

/** Even without any history the prompt does not fit. */
export interface TooLong {
  readonly type: 'too-long';
  readonly estimatedTokens: number;
  /** Tokens that the prompt may have. */
  readonly budget: number;
}

/** Estimates err: a part of the window stays free. */
const MARGIN = 0.05;

/**
 * Fits a conversation into the model's window by whole turns, oldest first. The system prompt, the question
 * and what there is of its answer are always there. When the budget is passed, the history is cut down to about half of it at once, and then grows
 * again: so the prompt's beginning stays the same for many turns, and the backend's prefix cache keeps hitting.
 */
export const fitWindow = (input: WindowInput): Window | TooLong => {
  const budget = input.contextWindow - input.maxTokens - Math.ceil(input.contextWindow * MARGIN);
  const fixed = estimateFixed(input);
  const room = Math.floor(budget / input.correction) - fixed;
  if (room < 0) return { type: 'too-long', estimatedTokens: Math.ceil(fixed * input.correction), budget };
  const turns = toTurns(input.messages);
  const full: Bounds = { tokens: room, turns: input.maxTurns - 1 }; // the question is a turn, too
  if (fits(turns, full)) return toWindow(input, turns, 0, fixed);
  const half: Bounds = { tokens: room / 2, turns: Math.floor(input.maxTurns / 2) - 1 };
  return toWindow(input, turns, countDropped(turns, half, full), fixed);
};

interface Turn {
  readonly messages: readonly StoredMessage[];
  readonly tokens: number;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

const estimateFixed = ({ systemPrompt, question, prefill }: WindowInput): number =>
  (systemPrompt ? estimateMessageTokens({ content: systemPrompt }) : 0) +
  estimateMessageTokens(question) +
  (prefill ? estimateMessageTokens({ content: prefill }) : 0);

/** A user message begins a turn; all that answers it belongs to it. */
const toTurns = (messages: readonly StoredMessage[]): readonly Turn[] => {
  const groups: StoredMessage[][] = [];
  for (const message of messages) {
    const current = groups.at(-1);
    if (message.role === 'user' || !current) groups.push([message]);
    else current.push(message);
  }
  return groups.map((group) => ({ messages: group, tokens: sum(group.map(estimateMessageTokens)) }));
};

/** What a history may have. */
interface Bounds {
  readonly tokens: number;
  readonly turns: number;
}

const fits = (turns: readonly Turn[], bounds: Bounds): boolean =>
  turns.length <= bounds.turns && sum(turns.map((turn) => turn.tokens)) <= bounds.tokens;

/** How many of the oldest turns go, so that the others fit into `half`. The newest stays as long as it fits at all. */
const countDropped = (turns: readonly Turn[], half: Bounds, full: Bounds): number => {
  const kept = turns.findIndex((_, index) => fits(turns.slice(index), half));
  if (kept !== -1) return kept;
  return fits(turns.slice(-1), full) ? turns.length - 1 : turns.length;
};

const toWindow = (input: WindowInput, turns: readonly Turn[], dropped: number, fixed: number): Window => {
  const kept = turns.slice(dropped);
  const lastDropped = turns[dropped - 1]?.messages.at(-1);
  const rawTokens = fixed + sum(kept.map((turn) => turn.tokens));
  return {
    type: 'fits',
    messages: kept.flatMap((turn) => turn.messages),
    cut: {
      position: lastDropped?.position ?? input.cut.position,
      droppedTurns: input.cut.droppedTurns + dropped,
    },
    keptTurns: kept.length,
    estimatedTokens: Math.ceil(rawTokens * input.correction),
    rawTokens,
  };
};
