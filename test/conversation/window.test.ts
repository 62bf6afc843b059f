import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { StoredMessage } from '../../src/conversation/message.ts';
import { planSummary, toParts, toSystemText } from '../../src/conversation/short-history.ts';
import { estimateMessageTokens } from '../../src/conversation/tokens.ts';
import { fitWindow, type TooLong, type Window, type WindowInput } from '../../src/conversation/window.ts';

const OUTCOME = {
  state: 'done',
  finishReason: 'stop',
  usage: { promptTokens: 0, completionTokens: 0, source: 'estimated' },
  timings: { queuedMs: 0, loadMs: 0, totalMs: 0 },
} as const;

const toUser = (position: number, content: string): StoredMessage => ({
  role: 'user',
  id: `u${position}`,
  content,
  createdAt: 0,
  position,
});

const toAssistant = (position: number, content: string): StoredMessage => ({
  role: 'assistant',
  id: `a${position}`,
  content,
  createdAt: 0,
  requestId: 'r',
  model: 'm',
  seq: 1,
  outcome: OUTCOME,
  position,
});

/** Turns of one question and one answer, each of about `tokens` tokens, from position 1 on. */
const toTurns = (...tokens: readonly number[]): readonly StoredMessage[] =>
  tokens.flatMap((count, index) => {
    const half = 'x'.repeat(Math.max(0, Math.floor((count / 2 - 4) * 3.1)));
    return [toUser(index * 2 + 1, half), toAssistant(index * 2 + 2, half)];
  });

const toInput = (changes: Partial<WindowInput> = {}): WindowInput => ({
  messages: [],
  question: { content: 'Is it done?' },
  cut: { position: 0, droppedTurns: 0 },
  contextWindow: 1_000,
  maxTokens: 100,
  maxTurns: 10,
  correction: 1,
  ...changes,
});

const fit = (changes: Partial<WindowInput> = {}): Window => {
  const window = fitWindow(toInput(changes));
  if (window.type !== 'fits') throw new Error('It does not fit.');
  return window;
};

const refuse = (changes: Partial<WindowInput>): TooLong => {
  const window = fitWindow(toInput(changes));
  if (window.type !== 'too-long') throw new Error('It fits.');
  return window;
};

describe('fitWindow', () => {
  it('sends the whole history while it fits', () => {
    const messages = toTurns(100, 100, 100);
    expect(fit({ messages })).toMatchObject({ messages, cut: { position: 0, droppedTurns: 0 }, keptTurns: 3 });
  });

  it('cuts down to about half when the budget is passed, by whole turns', () => {
    const messages = toTurns(200, 200, 200, 200, 200); // 850 fit, and with the question less
    const window = fit({ messages });
    expect(window).toMatchObject({ cut: { position: 6, droppedTurns: 3 }, keptTurns: 2 });
    expect(window.messages).toStrictEqual(messages.slice(6));
  });

  it('cuts down to about half of the turns when there are too many, the new one counted', () => {
    const nine = toTurns(...Array.from({ length: 9 }, () => 20));
    expect(fit({ messages: nine }).keptTurns).toBe(9);
    const ten = toTurns(...Array.from({ length: 10 }, () => 20));
    expect(fit({ messages: ten })).toMatchObject({ keptTurns: 4, cut: { droppedTurns: 6 } });
  });

  it('keeps the newest turn as long as it fits, though it is more than half', () => {
    expect(fit({ messages: toTurns(300, 600) })).toMatchObject({ keptTurns: 1, cut: { droppedTurns: 1 } });
    expect(fit({ messages: toTurns(300, 900) })).toMatchObject({ keptTurns: 0, cut: { droppedTurns: 2, position: 4 } });
    expect(fit({ messages: toTurns(20, 20), maxTurns: 2 })).toMatchObject({ keptTurns: 1 });
    expect(fit({ messages: toTurns(20), maxTurns: 1 })).toMatchObject({ keptTurns: 0, cut: { droppedTurns: 1 } });
  });

  it('counts on from the cut that was made before', () => {
    const messages = toTurns(200, 200, 200, 200, 200).map((message) => ({
      ...message,
      position: message.position + 10,
    }));
    const window = fit({ messages, cut: { position: 10, droppedTurns: 5 } });
    expect(window.cut).toStrictEqual({ position: 16, droppedTurns: 8 });
    expect(fit({ cut: { position: 10, droppedTurns: 5 } }).cut).toStrictEqual({ position: 10, droppedTurns: 5 });
  });

  it('keeps room for system prompt, answer and a margin', () => {
    const messages = toTurns(200, 200, 200, 200);
    expect(fit({ messages }).keptTurns).toBe(4);
    expect(fit({ messages, systemPrompt: 'x'.repeat(310) }).keptTurns).toBe(1); // 375 is half of the room
    expect(fit({ messages, maxTokens: 300 }).keptTurns).toBe(1);
  });

  it('keeps room for the answer so far, and never drops it', () => {
    const messages = toTurns(200, 200, 200, 200);
    const window = fit({ messages, prefill: 'x'.repeat(310) });
    expect(window.keptTurns).toBe(1);
    expect(window.rawTokens).toBe(fit({ messages: messages.slice(-2) }).rawTokens + 104);
    expect(refuse({ messages, prefill: 'x'.repeat(3_100) })).toMatchObject({ estimatedTokens: 1_012, budget: 850 });
  });

  it('counts images, of the question and of the history', () => {
    const [question, answer] = toTurns(20);
    if (question?.role !== 'user' || !answer) throw new Error('There is a turn.');
    const images = ['aGk='];
    const window = fit({ messages: [{ ...question, images }, answer], contextWindow: 4_096 });
    expect(window.rawTokens).toBeGreaterThan(768);
    expect(fit({ messages: [{ ...question, images }, answer] }).keptTurns).toBe(1);
    expect(refuse({ question: { content: 'What is it?', images: ['aGk=', 'aGk='] } }).estimatedTokens).toBeGreaterThan(
      1_536,
    );
  });

  it('says by how much a prompt is too long even alone', () => {
    const question = { content: 'x'.repeat(3_100) };
    expect(refuse({ question })).toStrictEqual({ type: 'too-long', estimatedTokens: 1_004, budget: 850 });
    expect(refuse({ question, correction: 2 })).toMatchObject({ estimatedTokens: 2_008, budget: 850 });
    expect(refuse({ maxTokens: 2_000 }).budget).toBeLessThan(0);
  });

  it('takes an answer without its question, at the front, for a turn: the first to go', () => {
    const messages = [
      toAssistant(8, 'Yes.'),
      ...toTurns(20, 20).map((message) => ({ ...message, position: message.position + 8 })),
    ];
    expect(fit({ messages })).toMatchObject({ messages, keptTurns: 3 });
    const cut = { position: 7, droppedTurns: 3 };
    expect(fit({ messages, cut, maxTurns: 3 })).toMatchObject({ cut: { position: 10, droppedTurns: 5 }, keptTurns: 1 });
  });

  it('corrects its estimate by what a model counts', () => {
    const messages = toTurns(100, 100, 100, 100);
    const window = fit({ messages });
    expect(fit({ messages, correction: 1.5 }).estimatedTokens).toBe(Math.ceil(window.rawTokens * 1.5));
    expect(fit({ messages, correction: 3 }).keptTurns).toBe(1);
  });

  it('never passes its bounds, splits no turn, and keeps no turn older than one that it drops', () => {
    const inputs = fc.record({
      turns: fc.array(fc.integer({ min: 9, max: 400 }), { maxLength: 14 }),
      contextWindow: fc.integer({ min: 200, max: 2_000 }),
      maxTokens: fc.integer({ min: 1, max: 500 }),
      maxTurns: fc.integer({ min: 1, max: 12 }),
      correction: fc.double({ min: 0.25, max: 8, noNaN: true }),
    });
    const property = fc.property(inputs, ({ turns, ...changes }) => {
      checkWindow(toInput({ ...changes, messages: toTurns(...turns), systemPrompt: 'Be brief.' }));
    });
    expect(() => fc.assert(property)).not.toThrow();
  });
});

const checkWindow = (input: WindowInput): void => {
  const window = fitWindow(input);
  const budget = input.contextWindow - input.maxTokens - Math.ceil(input.contextWindow * 0.05);
  if (window.type === 'too-long') {
    expect(window.estimatedTokens).toBeGreaterThan(budget);
    return;
  }
  expect(window.estimatedTokens).toBeLessThanOrEqual(budget);
  expect(window.keptTurns + 1).toBeLessThanOrEqual(input.maxTurns);
  expect(window.messages).toStrictEqual(input.messages.slice(window.cut.position));
  expect(window.cut.droppedTurns + window.keptTurns).toBe(input.messages.length / 2);
  const sent = [{ content: input.systemPrompt ?? '' }, ...window.messages, input.question];
  expect(window.rawTokens).toBe(sent.reduce((sum, message) => sum + estimateMessageTokens(message), 0));
};

describe('fitWindow with summaries', () => {
  const toSummary = (position: number, tokens = 20) => ({ position, text: 'y'.repeat(Math.floor(tokens * 3.1)) });

  it('tells the one in force, and counts it as fixed', () => {
    const messages = toTurns(100, 100).map((message) => ({ ...message, position: message.position + 4 }));
    const cut = { position: 4, droppedTurns: 2 };
    const summary = toSummary(4);
    const window = fit({ messages, cut, summaries: [toSummary(2), summary], systemPrompt: 'Be brief.' });
    expect(window).toMatchObject({ messages, cut, summary });
    const system = { content: toSystemText('Be brief.', summary) };
    const sent = [system, ...messages, { content: 'Is it done?' }];
    expect(window.rawTokens).toBe(sent.reduce((sum, message) => sum + estimateMessageTokens(message), 0));
  });

  it('leaves one alone that is ready, until the window overflows', () => {
    const window = fit({ messages: toTurns(200, 200, 200), summaries: [toSummary(2)] });
    expect(window).toMatchObject({ keptTurns: 3, cut: { position: 0 } });
    expect(window).not.toHaveProperty('summary');
  });

  it('cuts exactly at one that is ready, when all behind it fits', () => {
    const messages = toTurns(200, 200, 200, 200, 200);
    const window = fit({ messages, summaries: [toSummary(4)] });
    expect(window).toMatchObject({ cut: { position: 4, droppedTurns: 2 }, keptTurns: 3, summary: { position: 4 } });
    expect(window.messages).toStrictEqual(messages.slice(4));
  });

  it('cuts in blocks where what is behind it does not fit with its tokens; the one before stays in force', () => {
    const messages = toTurns(200, 200, 200, 200, 200).map((message) => ({
      ...message,
      position: message.position + 6,
    }));
    const changes = { messages, cut: { position: 6, droppedTurns: 3 } };
    const window = fit({ ...changes, summaries: [toSummary(6), toSummary(8)] });
    expect(window).toMatchObject({ summary: { position: 8 }, cut: { position: 14, droppedTurns: 7 } });
    expect(fit({ ...changes, summaries: [toSummary(6)] })).toMatchObject({ summary: { position: 6 } });
    const inside = fit({ ...changes, summaries: [toSummary(6), toSummary(15)] });
    expect(inside).toMatchObject({ summary: { position: 6 }, cut: { position: 14 } });
  });

  it('tells none rather than refuse the question', () => {
    const question = { content: 'x'.repeat(2_480) };
    const cut = { position: 4, droppedTurns: 2 };
    expect(fit({ question, cut, summaries: [toSummary(4, 100)] })).not.toHaveProperty('summary');
    expect(refuse({ question: { content: 'x'.repeat(3_100) }, cut, summaries: [toSummary(4)] }).estimatedTokens).toBe(
      1_004,
    );
  });

  it('changes the prompt’s beginning at cuts alone, whatever is ready and when', () => {
    const turn = fc.record({
      tokens: fc.integer({ min: 9, max: 500 }),
      summary: fc.option(fc.integer({ min: 8, max: 200 })),
    });
    const inputs = fc.record({ turns: fc.array(turn, { maxLength: 30 }), maxTurns: fc.integer({ min: 1, max: 8 }) });
    const property = fc.property(inputs, ({ turns, maxTurns }) => converseWithSummaries(turns, maxTurns));
    expect(() => fc.assert(property)).not.toThrow();
  });

  const converseWithSummaries = (
    turns: readonly { readonly tokens: number; readonly summary: number | null }[],
    maxTurns: number,
  ): void => {
    const all = toTurns(...turns.map(({ tokens }) => tokens));
    let cut = { position: 0, droppedTurns: 0 };
    let summaries: readonly ReturnType<typeof toSummary>[] = [];
    let before: Window | undefined;
    for (const [index, { summary }] of turns.entries()) {
      const from = cut.position;
      const messages = all.slice(from, index * 2);
      const input = toInput({ messages, cut, summaries, maxTurns, systemPrompt: 'Be brief.' });
      const window = fitWindow(input);
      if (window.type === 'too-long') throw new Error('It does not fit.');
      expect(window.estimatedTokens).toBeLessThanOrEqual(850);
      expect(window.keptTurns + 1).toBeLessThanOrEqual(maxTurns);
      if (window.cut.position === from) expect(window.summary).toBe(before?.summary);
      else expect(window.summary).toBe(summaries.findLast(({ position }) => position <= window.cut.position));
      ({ cut } = window);
      before = window;
      const behind = all.slice(cut.position, index * 2 + 2);
      const plan = planSummary({
        systemPrompt: 'Be brief.',
        messages: behind,
        summaries,
        cutPosition: cut.position,
        budget: 850,
        maxTurns,
      });
      if (plan === undefined || summary === null) continue;
      expect(plan).toBeGreaterThan(cut.position);
      expect(plan % 2).toBe(0);
      summaries = [...summaries.filter(({ position }) => position <= cut.position).slice(-1), toSummary(plan, summary)];
    }
  };
});

describe('planSummary', () => {
  const plan = (turns: readonly number[], changes: Partial<Parameters<typeof planSummary>[0]> = {}) =>
    planSummary({
      systemPrompt: '',
      messages: toTurns(...turns),
      summaries: [],
      cutPosition: 0,
      budget: 900,
      maxTurns: 1_000,
      ...changes,
    });

  it('waits until the window fills up, by its tokens or by its turns', () => {
    expect(plan([200, 200, 190])).toBeUndefined();
    expect(plan([200, 200, 220])).toBe(4);
    const turns = (count: number) => Array.from({ length: count }, () => 20);
    expect(plan(turns(6), { maxTurns: 10 })).toBeUndefined();
    expect(plan(turns(7), { maxTurns: 10 })).toBe(12);
    expect(plan(turns(9), { maxTurns: 10 })).toBe(12);
  });

  it('sums up half of what fits, so that the rest stays for as long as can be', () => {
    expect(plan([100, 100, 100, 100, 100, 100, 100, 100])).toBe(10);
    expect(plan([500, 100, 100])).toBe(2);
  });

  it('leaves the newest turn out where it can be sent', () => {
    expect(plan([100, 700])).toBe(2);
    expect(plan([800])).toBeUndefined();
    expect(plan([100, 950])).toBe(4);
    expect(plan([20], { maxTurns: 1 })).toBe(2);
  });

  it('has nothing to do when one is ready', () => {
    const ready = { position: 2, text: 'They met.' };
    expect(plan([200, 200, 220], { summaries: [ready] })).toBeUndefined();
    expect(plan([200, 200, 220], { summaries: [{ ...ready, position: 0 }] })).toBe(4);
  });
});

describe('toParts', () => {
  const toSizes = (tokens: readonly number[], budget: number) => {
    const turns = tokens.map((count, index) => ({ messages: [], position: index + 1, tokens: count }));
    return toParts(turns, budget).map((part) => part.map(({ position }) => position));
  };

  it('keeps the order and the turns whole, and leaves out what is too long alone', () => {
    expect(toSizes([], 100)).toEqual([]);
    expect(toSizes([40, 40], 100)).toEqual([[1, 2]]);
    expect(toSizes([40, 60, 1, 99, 101, 100], 100)).toEqual([[1, 2], [3, 4], [6]]);
    expect(toSizes([101], 100)).toEqual([]);
  });
});

describe('the beginning of the prompts of a long conversation', () => {
  /** Asks again and again; each prompt begins where the cut of the last one was. */
  const converse = (turns: number, tokens: number, policy: Partial<WindowInput>) => {
    let cut = { position: 0, droppedTurns: 0 };
    let history: readonly StoredMessage[] = [];
    const cuts: number[] = [];
    for (let turn = 0; turn < turns; turn++) {
      const from = cut;
      const window = fit({ ...policy, cut, messages: history.filter(({ position }) => position > from.position) });
      expect(window.cut.position).toBeGreaterThanOrEqual(cut.position);
      if (window.cut.position > cut.position) cuts.push(turn);
      ({ cut } = window);
      history = toTurns(...Array.from({ length: turn + 1 }, () => tokens));
    }
    return cuts;
  };

  it('changes every sixth turn where the turns are limited', () => {
    expect(converse(40, 20, {})).toStrictEqual([10, 16, 22, 28, 34]);
  });

  it('changes every few turns where the tokens are', () => {
    const cuts = converse(40, 100, { maxTurns: 1_000 });
    expect(cuts).toStrictEqual([9, 14, 19, 24, 29, 34, 39]);
  });

  it('never changes while all fits', () => {
    expect(converse(40, 20, { maxTurns: 1_000, contextWindow: 8_192 })).toStrictEqual([]);
  });
});
