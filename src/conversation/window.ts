import type { StoredMessage } from './message.ts';
import { estimateSystemTokens, findInForce, toBounds, type ShortHistory } from './short-history.ts';
import { estimateMessageTokens } from './tokens.ts';
import { countTokens, fits, toTurns, type Bounds, type Turn } from './turns.ts';

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
  /** Of what was said: the one in force, and one that is ready for the next cut. */
  readonly summaries?: readonly ShortHistory[];
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
  /** What the model is told of what is left out: counted, too. */
  readonly summary?: ShortHistory;
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

/** Tokens that a prompt may have, by the model's own count. */
export const toBudget = ({ contextWindow, maxTokens }: Pick<WindowInput, 'contextWindow' | 'maxTokens'>): number =>
  contextWindow - maxTokens - Math.ceil(contextWindow * MARGIN);

/**
 * Fits a conversation into the model's window by whole turns, oldest first. The system prompt, the question
 * and what there is of its answer are always there. When the budget is passed, the history is cut down to about half of
 * it at once, and then grows again: so the prompt's beginning stays the same for many turns, and the backend's prefix
 * cache keeps hitting. Where a summary is ready the cut is made at its end; a summary comes into force at a cut alone.
 */
export const fitWindow = (input: WindowInput): Window | TooLong => {
  const { summaries = [] } = input;
  const window = fitWith(input, summaries);
  // What is asked comes before what is only told in short.
  return window.type === 'too-long' && summaries.length > 0 ? fitWith(input, []) : window;
};

/** What there is room for beside what is always there. */
interface Layout {
  readonly summary: ShortHistory | undefined;
  /** Tokens of what is always there. */
  readonly fixed: number;
  readonly full: Bounds;
  readonly half: Bounds;
}

const toLayout = (input: WindowInput, summary: ShortHistory | undefined): Layout => {
  const fixed = estimateFixed(input, summary);
  return { summary, fixed, ...toBounds(Math.floor(toBudget(input) / input.correction) - fixed, input.maxTurns) };
};

const estimateFixed = ({ systemPrompt, question, prefill }: WindowInput, summary: ShortHistory | undefined): number =>
  estimateSystemTokens(systemPrompt, summary) +
  estimateMessageTokens(question) +
  (prefill ? estimateMessageTokens({ content: prefill }) : 0);

const fitWith = (input: WindowInput, summaries: readonly ShortHistory[]): Window | TooLong => {
  const turns = toTurns(input.messages);
  const layout = toLayout(input, findInForce(summaries, input.cut.position));
  if (layout.full.tokens < 0) return toTooLong(input, layout);
  if (fits(turns, layout.full)) return toWindow(input, { turns, dropped: 0, layout });
  return cutAtSummary(input, turns, summaries) ?? cutBlock(input, { turns, dropped: 0, layout }, summaries);
};

/** Ends at a summary that is ready, when all that comes behind it fits. */
const cutAtSummary = (
  input: WindowInput,
  turns: readonly HistoryTurn[],
  summaries: readonly ShortHistory[],
): Window | undefined => {
  for (const summary of summaries) {
    const dropped = turns.findIndex(({ position }) => position === summary.position) + 1;
    const layout = toLayout(input, summary);
    if (dropped > 0 && fits(turns.slice(dropped), layout.full)) return toWindow(input, { turns, dropped, layout });
  }
  return undefined;
};

/** Cuts down to about half. A summary that this cut passes comes into force, and wants room of its own. */
const cutBlock = (
  input: WindowInput,
  { turns, dropped: least, layout }: Cutting,
  summaries: readonly ShortHistory[],
): Window | TooLong => {
  if (layout.full.tokens < 0) return toTooLong(input, layout);
  const dropped = Math.max(least, countDropped(turns, layout.half, layout.full));
  const window = toWindow(input, { turns, dropped, layout });
  const summary = findInForce(summaries, window.cut.position);
  if (!summary || summary === layout.summary) return window;
  return cutBlock(input, { turns, dropped, layout: toLayout(input, summary) }, summaries);
};

type HistoryTurn = Turn<StoredMessage>;

interface Cutting {
  readonly turns: readonly HistoryTurn[];
  readonly dropped: number;
  readonly layout: Layout;
}

/** How many of the oldest turns go, so that the others fit into `half`. The newest stays as long as it fits at all. */
const countDropped = (turns: readonly HistoryTurn[], half: Bounds, full: Bounds): number => {
  const kept = turns.findIndex((_, index) => fits(turns.slice(index), half));
  if (kept !== -1) return kept;
  return fits(turns.slice(-1), full) ? turns.length - 1 : turns.length;
};

const toTooLong = (input: WindowInput, { fixed }: Layout): TooLong => ({
  type: 'too-long',
  estimatedTokens: Math.ceil(fixed * input.correction),
  budget: toBudget(input),
});

const toWindow = (input: WindowInput, { turns, dropped, layout: { fixed, summary } }: Cutting): Window => {
  const kept = turns.slice(dropped);
  const rawTokens = fixed + countTokens(kept);
  return {
    type: 'fits',
    messages: kept.flatMap((turn) => turn.messages),
    cut: {
      position: turns[dropped - 1]?.position ?? input.cut.position,
      droppedTurns: input.cut.droppedTurns + dropped,
    },
    ...(summary && { summary }),
    keptTurns: kept.length,
    estimatedTokens: Math.ceil(rawTokens * input.correction),
    rawTokens,
  };
};
