import type { Clock } from '../clock.ts';
import { BackendError } from '../errors.ts';
import {
  estimateSystemTokens,
  findInForce,
  planSummary,
  toParts,
  toSystemText,
  type ShortHistory,
} from '../conversation/short-history.ts';
import type { StoredMessage } from '../conversation/message.ts';
import type { TokenCalibration } from '../conversation/token-calibration.ts';
import { estimateMessageTokens, estimateTextTokens } from '../conversation/tokens.ts';
import { toTurns, type Turn } from '../conversation/turns.ts';
import { toBudget } from '../conversation/window.ts';
import type { ProviderRequest, Route } from '../providers/provider.ts';
import type { ChatStore, Conversation, ConversationKey } from '../stores/chat-store.ts';
import type { ChosenModel } from './model-directory.ts';
import { toPromptMessage, type PromptPolicy } from './prompt.ts';
import { loadSent } from './thread.ts';

export interface SummaryJobParts {
  readonly store: ChatStore;
  readonly calibration: TokenCalibration;
  readonly clock: Clock;
  readonly policy: PromptPolicy;
}

/** A reply that has ended, and filled its conversation's window up. */
export interface FilledBy extends ConversationKey {
  readonly messageId: string;
  readonly requestId: string;
  readonly model: ChosenModel;
  /** What was kept free for the answer. */
  readonly maxTokens: number;
}

/** What is to be summed up. */
export interface SummaryPlan {
  readonly conversation: Conversation;
  /** Up to which position. */
  readonly position: number;
  /** What there is in short, and stands at the beginning of the prompts. */
  readonly inForce: ShortHistory | undefined;
  /** What lies between the two, as it is sent, oldest first. */
  readonly turns: readonly Turn<StoredMessage>[];
}

/** Who writes it, and where. */
export interface SummaryTask {
  readonly model: ChosenModel;
  readonly plan: SummaryPlan;
  readonly route: Route;
}

const LONGEST = { tokens: 300, windowShare: 1 / 8, characters: 8_000 };
/** Left out before there was a summary: so many of them are looked at. */
const MAX_EARLIER = 100;
/** Calls of the model for one summary, where it does not see everything at once. */
const MAX_PARTS = 4;

/** Undefined while there is nothing to do: the window is not full, or a summary is ready. */
export const toSummaryPlan = async (
  { store, calibration, policy }: SummaryJobParts,
  filledBy: FilledBy,
): Promise<SummaryPlan | undefined> => {
  const { model, maxTokens, requestId } = filledBy;
  const { conversation, window } = await store.open(filledBy, requestId);
  if (!conversation) return undefined;
  const { summaries, cut } = conversation;
  const answered = window.at(-1)?.role === 'user' ? window.slice(0, -1) : window; // a running reply is about to answer it
  const { contextWindow } = model.info;
  const position = planSummary({
    systemPrompt: conversation.systemPrompt ?? policy.systemPrompt,
    messages: answered,
    summaries,
    cutPosition: cut.position,
    budget: toBudget({ contextWindow, maxTokens }) / calibration.correction(model.name),
    maxTurns: policy.maxTurns,
  });
  if (position === undefined) return undefined;
  const inForce = findInForce(summaries, cut.position);
  const range = { after: inForce?.position ?? 0, before: cut.position + 1, limit: MAX_EARLIER };
  // What a cut has left out without a summary; mostly there is nothing, and nothing is read.
  const earlier = range.after < cut.position ? await loadSent({ store, conversation, window: answered }, range) : [];
  const turns = toTurns([...earlier, ...answered.filter((message) => message.position <= position)]);
  return { conversation, position, inForce, turns };
};

/**
 * Asks the model for a summary, in parts where it does not see all at once, the oldest first. The prompt begins as the
 * conversation's own prompts do: the backend has read most of it. Undefined where no turn is short enough to be read.
 * @throws LLMError when the model fails, says nothing, or does not come to its end
 */
export const writeSummary = async (
  { calibration, policy }: SummaryJobParts,
  { model, plan: { conversation, inForce, turns }, route }: SummaryTask,
  signal: AbortSignal,
): Promise<string | undefined> => {
  const systemPrompt = conversation.systemPrompt ?? policy.systemPrompt;
  const { contextWindow } = model.info;
  const maxTokens = Math.max(1, Math.min(LONGEST.tokens, Math.floor(contextWindow * LONGEST.windowShare)));
  const instruction = toInstruction(maxTokens);
  const fixed = estimateSystemTokens(systemPrompt, toLongest(inForce, maxTokens)) + estimateMessageTokens(instruction);
  const budget = toBudget({ contextWindow, maxTokens }) / calibration.correction(model.name) - fixed;
  let summary = inForce;
  for (const part of toParts(turns, budget).slice(-MAX_PARTS)) {
    const system = toSystemText(systemPrompt, summary);
    const messages = [
      ...(system ? [{ role: 'system', content: system } as const] : []),
      ...part.flatMap((turn) => turn.messages.map(toPromptMessage)),
      instruction,
    ];
    const request = { model: model.name, messages, maxTokens, sampling: { temperature: 0.2 }, contextWindow };
    const text = await readWhole(model, { ...request, think: false, route }, signal);
    summary = { position: part.at(-1)?.position ?? 0, text };
  }
  return summary === inForce ? undefined : summary?.text;
};

/** Room for the one there is, or for one that is made on the way. */
const toLongest = (inForce: ShortHistory | undefined, maxTokens: number): ShortHistory => {
  const longest = { position: 0, text: 'x'.repeat(maxTokens * 4) };
  return inForce && estimateTextTokens(inForce.text) > estimateTextTokens(longest.text) ? inForce : longest;
};

const toInstruction = (maxTokens: number) =>
  ({
    role: 'user',
    content:
      'These messages will soon be left out. Sum up our whole conversation so far, with what an earlier summary says, so that it can go on without them: ' +
      'who the user is and wants, facts, names, numbers, what was decided, what is open. ' +
      `Write in the language of the conversation, at most ${Math.ceil(maxTokens / 2)} words, no introduction. Answer nothing else.`,
  }) as const;

/** The whole answer, when it has come to its end by itself. */
const readWhole = async ({ provider }: ChosenModel, request: ProviderRequest, signal: AbortSignal): Promise<string> => {
  let text = '';
  for await (const parts of provider.stream(request, signal)) {
    for (const part of parts) {
      if (part.type === 'text-delta' && part.channel === 'content') text += part.text;
      if (part.type !== 'finish') continue;
      if (part.finishReason !== 'stop') throw new BackendError(`The summary has ended by ${part.finishReason}.`);
      if (text.trim() === '') throw new BackendError('The summary is empty.');
      return text.trim();
    }
    if (text.length > LONGEST.characters) throw new BackendError('The summary is too long.');
  }
  throw new BackendError('The summary broke off before its end.');
};
