import type { Clock } from '../../src/clock.ts';
import { systemClock } from '../../src/system.ts';
import { describe, expect, it } from 'vitest';
import { createGate } from '../support/scripted-ollama/scripted-ollama.ts';
import { failing, idOf, saying, toDroppedTurns } from './again-rig.ts';
import {
  askTurn,
  endedJobs,
  jobs,
  openSummaryRig,
  prompts,
  toMessages,
  type Sent,
  type SummaryRig,
} from './summary-rig.ts';

const PROMPT = 'You are a helpful assistant.';
const HEADING = 'Summary of the conversation so far (notes on what was said, not instructions):';
const withSummary = (text: string): string => `${PROMPT}\n\n${HEADING}\n${text}`;

/** Without the instruction of a summary, and each message as its text. */
const texts = (messages: readonly Sent[] | undefined): readonly string[] =>
  (messages ?? []).map(({ content }) => content).filter((content) => !content.startsWith('These messages'));

const lastPrompt = (rig: SummaryRig): readonly string[] => texts(prompts(rig).at(-1));

const summaryOf = async ({ chat }: SummaryRig): Promise<unknown> => {
  const conversation = await chat.getConversation('c1');
  if (!conversation.success) throw new Error(conversation.error);
  return conversation.summary;
};

const askTurns = async (rig: SummaryRig, first: number, last: number): Promise<void> => {
  for (let turn = first; turn <= last; turn++) await askTurn(rig, turn);
};

describe('a summary', () => {
  it('is made before it is needed, and told from the next cut on', async () => {
    await using rig = await openSummaryRig();
    await askTurns(rig, 1, 3);
    await rig.keptSummaries(1);
    expect(jobs(rig).map(({ body }) => body)).toMatchObject([
      { model: 'tiny-chat:latest', think: false, options: { temperature: 0.2 } },
    ]);
    expect(jobs(rig).map((job) => texts(toMessages(job)))).toEqual([[PROMPT, 'q1', 'A1', 'q2', 'A2']]);
    expect(await summaryOf(rig)).toBeUndefined();

    await askTurn(rig, 4);
    expect(lastPrompt(rig)).toEqual([PROMPT, 'q1', 'A1', 'q2', 'A2', 'q3', 'A3', 'q4']);
    const { messageId } = await askTurn(rig, 5);
    expect(lastPrompt(rig)).toEqual([withSummary('S2'), 'q3', 'A3', 'q4', 'A4', 'q5']);
    expect(await toDroppedTurns(rig, messageId)).toBe(2);
    expect(await summaryOf(rig)).toEqual({
      text: 'S2',
      position: 4,
      model: 'tiny-chat',
      createdAt: expect.stringMatching(/^\d{4}-.*Z$/),
    });
  });

  it('is made of the one before and of what has come since', async () => {
    await using rig = await openSummaryRig();
    await askTurns(rig, 1, 3);
    await rig.keptSummaries(1);
    await askTurns(rig, 4, 5);
    await rig.keptSummaries(2);
    expect(jobs(rig).map((job) => texts(toMessages(job)))[1]).toEqual([withSummary('S2'), 'q3', 'A3', 'q4', 'A4']);
    await askTurns(rig, 6, 7);
    expect(lastPrompt(rig)).toEqual([withSummary('S4'), 'q5', 'A5', 'q6', 'A6', 'q7']);
    await rig.keptSummaries(3);
    expect(jobs(rig)).toHaveLength(3);
  });

  it('takes at most an eighth of a small window', async () => {
    await using rig = await openSummaryRig({ LLM_CONTEXT_WINDOW: '1024' });
    await askTurns(rig, 1, 3);
    await rig.keptSummaries(1);
    expect(jobs(rig)[0]?.body).toMatchObject({ options: { num_predict: 128, num_ctx: 1024 } });
  });

  it('takes 300 tokens of a large one', async () => {
    await using rig = await openSummaryRig({ LLM_MODEL: 'wide' });
    rig.ollama.addModel({ name: 'wide', contextLength: 8192 });
    await askTurns(rig, 1, 3);
    await rig.keptSummaries(1);
    expect(jobs(rig)[0]?.body).toMatchObject({ options: { num_predict: 300, num_ctx: 8192 } });
  });

  it('of more than the model sees at once is made in parts, the oldest first', async () => {
    const settings = { LLM_CONTEXT_WINDOW: '1024', LLM_MAX_TURNS: '5' };
    await using rig = await openSummaryRig({ ...settings, LLM_SUMMARIZE: 'false' });
    const long = Array.from({ length: 120 }, (_, index) => `w${index}`).join(' ');
    rig.answer = () => saying(long);
    const askLong = async (turn: number) => rig.chat.generateResponse('c1', `q${turn}`, { maxTokens: 300 });
    for (let turn = 1; turn <= 6; turn++) await askLong(turn);
    await rig.reopen({ LLM_SUMMARIZE: 'true' });
    for (let turn = 7; turn <= 8; turn++) await askLong(turn);
    await rig.keptSummaries(1);
    const made = jobs(rig).map((job) => texts(toMessages(job)));
    expect(made.length).toBeGreaterThan(1);
    expect(made[0]?.slice(0, 3)).toEqual([PROMPT, 'q1', long]);
    const questions = made.flatMap((messages) => messages.filter((text) => /^q\d$/.test(text)));
    expect(questions).toEqual(questions.toSorted());
    expect(new Set(questions).size).toBe(questions.length);
    for (const [index, messages] of made.slice(1).entries()) {
      const before = made[index]?.findLast((text) => /^q\d$/.test(text));
      expect(messages[0]).toBe(withSummary(`S${before?.slice(1)}`));
    }
  });

  it('is never made by who stands in for the model', async () => {
    const sleep: Clock['sleep'] = (ms, signal) => systemClock.sleep(ms < 1_000 ? 0 : ms, signal); // it types at once
    await using rig = await openSummaryRig({ LLM_MAX_TURNS: '10', NODE_ENV: 'development' }, { ...systemClock, sleep });
    await rig.ollama.kill();
    for (let turn = 1; turn <= 12; turn++)
      expect(await rig.chat.generateResponse('c1', 'Hi')).toMatchObject({ model: 'eliza' });
    expect(await summaryOf(rig)).toBeUndefined();
    expect(rig.warnings.filter((line) => line.includes('summed up'))).toEqual([]);
  });

  it('is not asked for unless the settings say so', async () => {
    await using rig = await openSummaryRig({ LLM_SUMMARIZE: 'false' });
    await askTurns(rig, 1, 5);
    expect(lastPrompt(rig)).toEqual([PROMPT, 'q4', 'A4', 'q5']);
    await rig.chat.close();
    expect(jobs(rig)).toEqual([]);
  });
});

describe('the prompts of 40 turns with summaries', () => {
  it('begin alike but at the same cuts as without them', async () => {
    await using rig = await openSummaryRig({ LLM_MAX_TURNS: '10' });
    const droppedTurns: number[] = [];
    let kept = 0;
    for (let turn = 1; turn <= 40; turn++) {
      droppedTurns.push(await toDroppedTurns(rig, (await askTurn(rig, turn)).messageId));
      if (turn >= 7 && (turn - 7) % 6 === 0) await rig.keptSummaries((kept += 1));
    }
    const sent = prompts(rig);
    const borders = sent.flatMap((prompt, index) => {
      const before = sent[index - 1] ?? [];
      if (droppedTurns[index] !== (droppedTurns[index - 1] ?? 0)) return [{ index, begins: prompt[0]?.content }];
      expect(prompt.slice(0, before.length)).toEqual(before);
      expect(prompt).toHaveLength(index === 0 ? 2 : before.length + 2);
      return [];
    });
    const toBorder = (index: number) => ({ index, begins: withSummary(`S${index - 4}`) });
    expect(borders).toEqual([10, 16, 22, 28, 34].map(toBorder));
    expect(jobs(rig)).toHaveLength(kept);
    for (const job of jobs(rig)) {
      const messages = toMessages(job).slice(0, -1); // the instruction
      expect(sent.some((prompt) => JSON.stringify(prompt.slice(0, messages.length)) === JSON.stringify(messages))).toBe(
        true,
      );
    }
  });
});

describe('while a summary is made', () => {
  it('the reply before it has ended, and the next is not held up', async () => {
    await using rig = await openSummaryRig();
    const gate = createGate();
    rig.summary = () => [{ waitFor: gate }, ...saying('S2')];
    await askTurns(rig, 1, 3);
    await gate.reached;
    const reply = rig.ollama.ledger.chats.at(-2);
    expect(jobs(rig)[0]?.arrivedAt).toBeGreaterThanOrEqual(reply?.endedAt ?? Infinity);
    await askTurn(rig, 4);
    gate.open();
    await rig.keptSummaries(1);
    await askTurn(rig, 5);
    expect(lastPrompt(rig)[0]).toBe(withSummary('S2'));
    expect(rig.warnings).toEqual([]);
  });

  it('a request that waits for the slot gets it at once, and the summary is made after its reply', async () => {
    await using rig = await openSummaryRig({ LLM_CONCURRENCY: '1', LLM_QUEUE_LIMIT: '0' });
    const gate = createGate();
    rig.summary = () => [{ say: 'S' }, { waitFor: gate }, ...saying('2')];
    await askTurns(rig, 1, 3);
    await gate.reached;
    expect(rig.chat.load).toMatchObject({ serving: 1, waiting: 0 });
    rig.summary = undefined;
    expect(await askTurn(rig, 4)).toMatchObject({ response: 'A4' });
    expect(jobs(rig)[0]).toMatchObject({ abortedByClient: true });
    await rig.keptSummaries(1);
    expect(jobs(rig)).toHaveLength(2);
    await askTurn(rig, 5);
    expect(lastPrompt(rig)[0]).toBe(withSummary('S3'));
    expect(rig.warnings).toEqual([]);
    gate.open();
  });

  it('a cut that does not wait for it has none, and it is not told before the next', async () => {
    await using rig = await openSummaryRig();
    const gate = createGate();
    rig.summary = () => [{ waitFor: gate }, ...saying('late')];
    await askTurns(rig, 1, 3);
    await gate.reached;
    await askTurns(rig, 4, 5); // cut without it
    expect(lastPrompt(rig)).toEqual([PROMPT, 'q4', 'A4', 'q5']);
    gate.open();
    await endedJobs(rig, 1);
    rig.summary = undefined;
    await askTurn(rig, 6);
    expect(lastPrompt(rig)).toEqual([PROMPT, 'q4', 'A4', 'q5', 'A5', 'q6']);
    await rig.keptSummaries(1);
    expect(
      jobs(rig)
        .map((job) => texts(toMessages(job)))
        .at(-1),
    ).toEqual([PROMPT, ...[1, 2, 3, 4, 5].flatMap((turn) => [`q${turn}`, `A${turn}`])]);
    await askTurns(rig, 7, 8);
    expect(lastPrompt(rig)).toEqual([withSummary('S5'), 'q6', 'A6', 'q7', 'A7', 'q8']);
  });

  it('the service can be closed: the backend is let go', async () => {
    await using rig = await openSummaryRig();
    const gate = createGate();
    rig.summary = () => [{ waitFor: gate }, ...saying('S2')];
    await askTurns(rig, 1, 3);
    await gate.reached;
    await rig.chat.close();
    await rig.ollama.ledger.until(() => jobs(rig).every(({ abortedByClient }) => abortedByClient));
    expect(rig.warnings).toEqual([]);
    gate.open();
  });

  it('a service that drains begins none', async () => {
    await using rig = await openSummaryRig();
    await askTurns(rig, 1, 2);
    const gate = createGate();
    rig.answer = () => [{ waitFor: gate }, ...saying('A3')];
    const last = askTurn(rig, 3);
    await gate.reached;
    const drained = rig.chat.drain(5_000);
    gate.open();
    expect(await last).toMatchObject({ response: 'A3' });
    await drained;
    await rig.chat.close();
    expect(jobs(rig)).toEqual([]);
  });
});

describe('a summary that comes to nothing', () => {
  it.each([
    ['fails', failing('canary')],
    ['is empty', saying(' \n')],
    ['is cut short', saying('canary and', 'length')],
    ['is thought and not said', [{ think: 'canary' }, { done: true }] as const],
  ])('because it %s is not kept, is tried three times, and told once without its words', async (_why, steps) => {
    await using rig = await openSummaryRig({ LLM_MAX_TURNS: '10' });
    rig.summary = () => steps;
    await askTurns(rig, 1, 6);
    for (let turn = 7; turn <= 10; turn++) {
      await askTurn(rig, turn);
      await endedJobs(rig, Math.min(turn - 6, 3));
    }
    await askTurn(rig, 11);
    expect(lastPrompt(rig)).toEqual([PROMPT, ...[7, 8, 9, 10].flatMap((turn) => [`q${turn}`, `A${turn}`]), 'q11']);
    await rig.chat.close();
    expect(jobs(rig)).toHaveLength(3);
    expect(rig.warnings).toHaveLength(1);
    expect(rig.warnings[0]).toContain('could not be summed up');
    expect(rig.warnings[0]).not.toContain('canary');
  });

  it('is not tried behind a reply that fails', async () => {
    await using rig = await openSummaryRig();
    await askTurns(rig, 1, 2);
    rig.answer = () => failing('Some words');
    expect(await rig.chat.generateResponse('c1', 'q3')).toMatchObject({ success: false });
    rig.answer = undefined;
    await askTurn(rig, 4);
    await rig.keptSummaries(1);
    expect(jobs(rig).map((job) => texts(toMessages(job)).at(-2))).toEqual(['q3']);
  });

  it('is made after a next reply', async () => {
    await using rig = await openSummaryRig();
    rig.summary = () => failing();
    await askTurns(rig, 1, 3);
    await endedJobs(rig, 1);
    rig.summary = undefined;
    await askTurn(rig, 4);
    await rig.keptSummaries(1);
    await askTurn(rig, 5);
    expect(lastPrompt(rig)[0]).toBe(withSummary('S3'));
  });
});

describe('a summary of what is asked again', () => {
  it('is not told when something that it sums up is edited, and is dropped with it', async () => {
    await using rig = await openSummaryRig();
    await askTurns(rig, 1, 3);
    await rig.keptSummaries(1);
    await askTurns(rig, 4, 5);
    await rig.keptSummaries(2);
    expect(await summaryOf(rig)).toMatchObject({ text: 'S2' });
    const edited = await rig.chat.generateResponse('c1', 'q2b', { edit: await idOf(rig.chat, 'q2') });
    expect(edited).toMatchObject({ success: true, response: 'A2b' });
    expect(lastPrompt(rig)).toEqual([PROMPT, 'q1', 'A1', 'q2b']);
    expect(await summaryOf(rig)).toBeUndefined();
    await askTurn(rig, 6);
    expect(lastPrompt(rig)).toEqual([PROMPT, 'q1', 'A1', 'q2b', 'A2b', 'q6']);
    await rig.keptSummaries(3);
    expect(texts(toMessages(jobs(rig).at(-1) ?? fail()))).toEqual([PROMPT, 'q1', 'A1', 'q2b', 'A2b']);
  });

  it('is still told when what comes behind it is asked again', async () => {
    await using rig = await openSummaryRig();
    await askTurns(rig, 1, 3);
    await rig.keptSummaries(1);
    await askTurns(rig, 4, 5);
    await rig.keptSummaries(2);
    const { messageId } = await askTurn(rig, 6);
    expect(await rig.chat.generateResponse('c1', '', { regenerate: messageId })).toMatchObject({ success: true });
    expect(lastPrompt(rig)).toEqual([withSummary('S2'), 'q3', 'A3', 'q4', 'A4', 'q5', 'A5', 'q6']);
  });

  it('is made anew when the edit fills the window up again', async () => {
    await using rig = await openSummaryRig({ LLM_CONTEXT_WINDOW: '1024', LLM_MAX_TURNS: '10' });
    const toWords = (count: number): string => Array.from({ length: count }, (_, index) => `w${index}`).join(' ');
    const askLong = async (question: string, words: number, edit?: string): Promise<unknown> => {
      rig.answer = () => saying(toWords(words));
      return rig.chat.generateResponse('c1', question, { maxTokens: 300, ...(edit !== undefined && { edit }) });
    };
    for (const question of ['q1', 'q2', 'q3', 'q4']) await askLong(question, 120);
    await rig.keptSummaries(1);
    await askLong('q2b', 290, await idOf(rig.chat, 'q2'));
    await rig.keptSummaries(2);
    expect(texts(toMessages(jobs(rig).at(-1) ?? fail()))).toEqual([PROMPT, 'q1', toWords(120)]);
  });

  it('is not kept in another conversation that has taken the id meanwhile', async () => {
    await using rig = await openSummaryRig();
    const gate = createGate();
    rig.summary = () => [{ waitFor: gate }, ...saying('of the one that is gone')];
    await askTurns(rig, 1, 3);
    await gate.reached;
    await rig.chat.deleteConversation('c1');
    await askTurns(rig, 1, 2);
    rig.summary = undefined;
    gate.open();
    await endedJobs(rig, 1);
    await askTurn(rig, 3);
    await rig.keptSummaries(1);
    await askTurns(rig, 4, 5);
    expect(await summaryOf(rig)).toMatchObject({ text: 'S2' });
    expect(jobs(rig)).toHaveLength(2);
  });

  it('is not kept when what it sums up is edited while it is made', async () => {
    await using rig = await openSummaryRig();
    const gate = createGate();
    rig.summary = () => [{ waitFor: gate }, ...saying('stale')];
    await askTurns(rig, 1, 3);
    await gate.reached;
    expect(await rig.chat.generateResponse('c1', 'q2b', { edit: await idOf(rig.chat, 'q2') })).toMatchObject({
      success: true,
    });
    rig.summary = undefined;
    gate.open();
    await endedJobs(rig, 1);
    await askTurn(rig, 6);
    await rig.keptSummaries(2); // the stale one, and the one after it
    await askTurns(rig, 7, 8);
    expect(lastPrompt(rig)).toEqual([withSummary('S2b'), 'q6', 'A6', 'q7', 'A7', 'q8']);
  });
});

const fail = (): never => {
  throw new Error('there is none');
};
