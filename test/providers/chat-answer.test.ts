import { afterEach, describe, expect, it } from 'vitest';
import { BackendError } from '../../src/errors.ts';
import type { Step } from '../support/scripted-ollama/scripted-ollama.ts';
import { HostChatsRig } from './host-chats-rig.ts';

const rigs: HostChatsRig[] = [];

const open = async (): Promise<HostChatsRig> => {
  const rig = await HostChatsRig.open();
  rigs.push(rig);
  return rig;
};

afterEach(async () => {
  for (const rig of rigs.splice(0)) await rig[Symbol.asyncDispose]();
});

const saying = (...pieces: readonly string[]): Step[] => [...pieces.map((say) => ({ say })), { done: true }];

describe('what a model says', () => {
  it('may be thinking alone: the finish then comes without content', async () => {
    const rig = await open();
    rig.ollama.next('thinking-only');
    const heard = await rig.ask({ think: true });
    expect(heard).toMatchObject({ content: '', finish: { finishReason: 'length', completionTokens: 5 } });
    expect(heard.thinking).toMatch(/^I think/);
  });

  it('is thinking between tags at its start, where Ollama does not see it', async () => {
    const rig = await open();
    rig.ollama.next(saying('<th', 'ink>\n', 'Hm', '.\n</think', '>', '\n\n', 'Yes', '. <think>'));
    expect(await rig.ask()).toMatchObject({ thinking: 'Hm.', content: 'Yes. <think>' });
  });

  it('is all thinking when the tag is never closed, and nothing of it is lost', async () => {
    const rig = await open();
    rig.ollama.next(saying('<think>', 'Hm', ' </thin'));
    expect(await rig.ask()).toMatchObject({ thinking: 'Hm </thin', content: '', finish: { finishReason: 'stop' } });
  });

  it('keeps its tags behind thinking that came by itself', async () => {
    const rig = await open();
    rig.ollama.next([{ think: 'Hm.' }, ...saying('<think>', 'so</think>')]);
    expect(await rig.ask()).toMatchObject({ thinking: 'Hm.', content: '<think>so</think>' });
  });

  it('keeps its tags in an answer with a format', async () => {
    const rig = await open();
    rig.ollama.next(saying('<think>', 'so</think>{}'));
    expect(await rig.ask({ format: 'json' })).toMatchObject({ thinking: '', content: '<think>so</think>{}' });
  });

  it.each([
    ['an error line', [{ error: 'an error was encountered while running the model: unexpected EOF' }]],
    ['a clean end', []],
    ['a lost connection', [{ close: true }]],
  ] as const)('is given out when it was held back before %s', async (_how, end) => {
    const rig = await open();
    rig.ollama.next([{ say: '<thi' }, ...end], [{ say: '<think>Hm </thi' }, ...end], [{ say: '<think>' }, ...end]);
    const inContent = await rig.ask();
    expect(inContent).toMatchObject({ content: '<thi', finish: undefined, error: { transient: false } });
    expect(inContent.error).toBeInstanceOf(BackendError);
    expect(await rig.ask()).toMatchObject({ thinking: 'Hm </thi', content: '', error: { transient: false } });
    expect(await rig.ask()).toMatchObject({ thinking: '', content: '', error: { transient: true } });
  });

  it.each([
    ['line feeds', ['\n']],
    ['white space of any length', [' ', '  ', '\n', '\n\n', '\t']],
    ['a phrase of three words', ['on', ' and', ' on']],
  ])('is cut off when it is %s for ever', async (_what, words) => {
    const rig = await open();
    const forEver = function* steps(): Iterable<Step> {
      yield { say: '{' };
      for (;;) for (const say of words) yield { say };
    };
    rig.ollama.next({ ignoresLimit: true, steps: forEver });
    const { finish, parts } = await rig.ask({ format: 'json' });
    expect(finish).toStrictEqual({ type: 'finish', finishReason: 'repetition' });
    expect(parts.length).toBeLessThanOrEqual(103);
    await rig.ollama.ledger.until(({ running }) => running === 0);
  });

  it('is cut off when it is white space in a tag for ever, and that is given out', async () => {
    const rig = await open();
    const forEver = function* steps(): Iterable<Step> {
      yield { say: '<think>so' };
      for (;;) yield { say: '\n' };
    };
    rig.ollama.next({ ignoresLimit: true, steps: forEver });
    const { parts, thinking } = await rig.ask();
    expect(thinking).toBe(`so${'\n'.repeat(101)}`);
    expect(parts.at(-1)).toMatchObject({ type: 'finish', finishReason: 'repetition' });
  });

  it.each([
    ['both', {}, { promptTokens: expect.any(Number), completionTokens: 2 }],
    ['that of the prompt', { evalCount: null }, { promptTokens: expect.any(Number) }],
    ['that of the answer', { promptEvalCount: null }, { completionTokens: 2 }],
    ['none', { promptEvalCount: null, evalCount: null }, {}],
  ])('ends with the counts that came: %s', async (_which, fields, counts) => {
    const rig = await open();
    rig.ollama.next([{ say: 'Hi' }, { done: fields }]);
    expect((await rig.ask()).finish).toStrictEqual({ type: 'finish', finishReason: 'stop', ...counts });
  });
});
