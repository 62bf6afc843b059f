import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { StoredMessage } from '../../src/conversation/message.ts';
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
