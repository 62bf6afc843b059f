import { afterEach, describe, expect, it } from 'vitest';
import { GO_ON } from '../../src/providers/ollama/prefill.ts';
import { unsaltedText, withoutSalts } from '../support/scripted-ollama/scripted-ollama.ts';
import type { Script, Step, Turn } from '../support/scripted-ollama/scripted-ollama.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import { HostChatsRig, prefillModels } from './host-chats-rig.ts';
import { OllamaRig, toRequest } from './ollama-rig.ts';
import { inPieces, seeded } from './seeded.ts';

const rigs: HostChatsRig[] = [];

const open = async (...options: Parameters<typeof HostChatsRig.open>): Promise<HostChatsRig> => {
  const rig = await HostChatsRig.open(...options);
  rigs.push(rig);
  return rig;
};

afterEach(async () => {
  for (const rig of rigs.splice(0)) await rig[Symbol.asyncDispose]();
});

const question = { role: 'user', content: 'hello' };
const PREFILL_400 = 'Assistant response prefill is incompatible with enable_thinking.';
const TWO_400 = 'Cannot have 2 or more assistant messages at the end of the list.';

const refusing = (message: string): Script => ({
  steps: [{ error: JSON.stringify({ error: { code: 400, message, type: 'invalid_request_error' } }), status: 400 }],
});

/** Says the rest of the text that the last answer of the prompt began. */
const restOf = (whole: string, random: () => number, edit = (rest: string): string => rest): Script => ({
  *steps({ request }: Turn): Iterable<Step> {
    const begun = request.messages.findLast(({ role }) => role === 'assistant')?.content ?? '';
    for (const say of inPieces(edit(whole.slice(begun.length)), 9, random)) yield { say };
    yield { done: true };
  },
});

describe('an answer that is gone on with', () => {
  it('is sent as the beginning of the model’s answer, without the white space at its end', async () => {
    const rig = await open();
    const { content, finish } = await rig.ask({ prefill: 'I am a \n' });
    expect(withoutSalts(content)).toBe(unsaltedText().slice('I am a '.length));
    expect(finish?.finishReason).toBe('stop');
    expect(rig.replies).toMatchObject([
      { think: false, messages: [question, { role: 'assistant', content: 'I am a' }], options: { num_ctx: 2048 } },
    ]);
  });

  it.each(['continues', 'closes'] as const)('is asked for without thinking, of a model that %s', async (prefill) => {
    const rig = await open();
    rig.ollama.addModel({ name: 'thinker', prefill, capabilities: ['completion', 'thinking'] });
    await rig.ask({ model: 'thinker', family: 'qwen3', prefill: 'I am', think: true });
    expect(rig.replies).toMatchObject([{ think: false }]);
  });

  it.each([undefined, '', ' \n'])('is asked for like any other when nothing is said yet (%j)', async (prefill) => {
    const rig = await open();
    expect(withoutSalts((await rig.ask(prefill === undefined ? {} : { prefill })).content)).toBe(unsaltedText());
    expect(rig.bodies).toHaveLength(1);
    expect(rig.replies).toMatchObject([{ messages: [question] }]);
  });

  it.each(['closes', 'refuses'])('is asked for in words of a model that %s such a text', async (model) => {
    const rig = await open();
    rig.ollama.next(restOf('It was a dark night.', seeded(1)));
    expect((await rig.ask({ model, prefill: 'It was ' })).content).toBe('a dark night.');
    expect(rig.replies).toMatchObject([
      {
        think: false,
        messages: [question, { role: 'assistant', content: 'It was' }, { role: 'user', content: GO_ON }],
      },
    ]);
  });

  it.each([PREFILL_400, TWO_400])('is asked for in words when the model refuses it after all: %s', async (text) => {
    const rig = await open();
    rig.ollama.next(refusing(text), restOf('It was a dark night.', seeded(1)), restOf('It was late.', seeded(2)));
    expect(await rig.ask({ prefill: 'It was' })).toMatchObject({ content: ' a dark night.', error: undefined });
    expect(await rig.ask({ prefill: 'It was' })).toMatchObject({ content: ' late.', error: undefined });
    expect(rig.replies).toMatchObject([
      { messages: [question, { role: 'assistant' }] },
      { messages: [question, { role: 'assistant' }, { content: GO_ON }] },
      { messages: [question, { role: 'assistant' }, { content: GO_ON }] }, // the refusal is remembered
    ]);
    expect(rig.probes).toHaveLength(1);
    await rig.ask({ prefill: 'I am', digest: 'another' });
    expect(rig.probes).toHaveLength(2);
    expect(rig.replies.at(-1)).toMatchObject({ messages: [question, { role: 'assistant' }] });
  });

  it('is refused for good when it is refused in words too', async () => {
    const rig = await open();
    rig.ollama.next(refusing(PREFILL_400), refusing(PREFILL_400));
    expect(await rig.ask({ prefill: 'I am' })).toMatchObject({ error: { code: 'unsupported' }, content: '' });
    expect(rig.replies).toHaveLength(2);
  });

  it('fails as any other does when it is refused for another reason', async () => {
    const rig = await open();
    rig.ollama.next('too-long-plain');
    expect((await rig.ask({ prefill: 'I am' })).error).toMatchObject({ code: 'context_length_exceeded' });
    expect(rig.replies).toHaveLength(1);
  });

  it('that breaks off gives out what was held back, and is no answer to be asked for again', async () => {
    const rig = await open();
    rig.ollama.next([{ say: 'I am a scripted' }, { close: true }]);
    const { content, error } = await rig.ask({ model: 'echoes', prefill: 'I am a scripted model' });
    expect(content).toBe('I am a scripted');
    expect(error).toMatchObject({ code: 'backend_error', transient: false });
  });

  it('that breaks off within an echo has said nothing', async () => {
    const rig = await open();
    const prefill = unsaltedText();
    rig.ollama.next([{ say: prefill }, { close: true }], [{ say: prefill }, { done: true }]);
    expect(await rig.ask({ model: 'echoes', prefill })).toMatchObject({ content: '', error: { transient: true } });
    expect(await rig.ask({ model: 'echoes', prefill })).toMatchObject({
      content: '',
      finish: { finishReason: 'stop' },
    });
  });

  it('keeps a think tag that stands in the middle of it, and takes one for thinking where the model begins anew', async () => {
    const rig = await open();
    const tagged: Step[] = [{ say: '<think>' }, { say: 'so</think> it' }, { done: true }];
    rig.ollama.next(tagged, tagged);
    expect(await rig.ask({ prefill: 'The tag is' })).toMatchObject({ content: '<think>so</think> it', thinking: '' });
    expect(await rig.ask({ model: 'closes', prefill: 'The tag ' })).toMatchObject({ content: 'it', thinking: 'so' });
  });
});

describe('an answer that is cut anywhere and gone on with', () => {
  const CUTS = 200;
  const whole = unsaltedText(60);

  it.each(['continues', 'trims', 'echoes'])('is whole again, with no space too many or too few: %s', async (model) => {
    const rig = await open();
    const random = seeded(model.length);
    const shortest = model === 'echoes' ? 18 : 1;
    for (let cut = 0; cut < CUTS; cut++) {
      const at = shortest + Math.floor(random() * (whole.length - shortest + 1));
      rig.ollama.next('long:60');
      const { content } = await rig.ask({ model, prefill: whole.slice(0, at) });
      expect(withoutSalts(whole.slice(0, at) + content), `cut at ${at}`).toBe(whole);
    }
    expect(rig.probes).toHaveLength(1);
  });

  it.each(['closes', 'refuses'])('is whole again where it is asked for in words: %s', async (model) => {
    const rig = await open();
    const random = seeded(model.length);
    const text = 'A list [0af1]:\n\n- one  [77c0]\n- two\n\n\tand a tab; a word [b2].  Then\n more, and the end.\n';
    for (let cut = 0; cut < CUTS; cut++) {
      const prefill = text.slice(0, 1 + Math.floor(random() * text.length));
      const isCutInSpace = prefill.trimEnd() !== prefill;
      // Most models begin a turn of their own without white space: then it must have been there.
      const edit =
        isCutInSpace && /\S$/.test(prefill + text[prefill.length]) ? (rest: string) => rest.trimStart() : undefined;
      rig.ollama.next(restOf(text, random, edit));
      expect(prefill + (await rig.ask({ model, prefill })).content).toBe(text);
    }
    expect(rig.probes).toHaveLength(1);
  });
});

describe('whether a model goes on with a text', () => {
  it('is asked once for each digest, of the model as it is loaded', async () => {
    const rig = await open();
    await rig.ask();
    expect(rig.probes).toHaveLength(0);
    await Promise.all([rig.ask({ prefill: 'I am' }), rig.ask({ prefill: 'I am a' })]);
    await rig.ask({ prefill: 'I am a' });
    expect(rig.probes).toHaveLength(1);
    await rig.ask({ prefill: 'I am', digest: 'two' });
    expect(rig.probes).toHaveLength(2);
    expect(rig.ollama.ledger.loads).toHaveLength(1);
    expect(rig.probes[0]).toMatchObject({
      model: 'continues:latest',
      keep_alive: '30m',
      shift: false,
      think: false,
      stream: false,
      options: { num_ctx: 2048 },
      messages: [
        { role: 'user', content: 'U' },
        { role: 'assistant', content: expect.stringMatching(/^probe-[\w-]{22}$/) },
      ],
    });
    const [first, second] = rig.probes.map((body) => JSON.stringify(body['messages']));
    expect(first).not.toBe(second);
  });

  it('is asked with as little thinking as the model knows', async () => {
    const rig = await open();
    rig.ollama.addModel({ name: 'continues', prefill: 'continues', capabilities: ['completion', 'thinking'] });
    await rig.ask({ prefill: 'I am', family: 'gptoss' });
    expect(rig.probes).toMatchObject([{ think: 'low' }]);
    expect(rig.replies).toMatchObject([{ think: 'low' }]);
  });

  it('is answered by no where the host does not know the question, for good', async () => {
    const rig = await open();
    for (let turn = 0; turn < 2; turn++) {
      await rig.ask({ model: 'undebugged', prefill: 'I am' });
      expect(rig.replies.at(-1)).toMatchObject({ messages: [question, {}, { content: GO_ON }] });
    }
    expect(rig.probes).toHaveLength(1);
    expect(rig.probes).toMatchObject([{ options: { num_predict: 1 } }]);
  });

  it('is no for this time where the host fails, and asked again', async () => {
    const rig = await open();
    rig.ollama.next('long');
    rig.ollama.fail('/api/chat', { status: 500, error: 'not now' });
    expect((await rig.ask({ prefill: 'I am' })).error).toMatchObject({ code: 'backend_error' });
    expect(rig.replies).toMatchObject([{ messages: [question, {}, { content: GO_ON }] }]);
    expect(rig.warnings).toContain('whether a model goes on with a text is not known');
    rig.ollama.heal();
    await rig.ask({ prefill: 'I am' });
    expect(rig.probes).toHaveLength(2);
    expect(rig.replies.at(-1)).toMatchObject({ messages: [question, { role: 'assistant' }] });
  });

  it('is no for this time where the host does not say it in five seconds', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock });
    rig.ollama.hang('/api/chat');
    const heard = rig.ask({ prefill: 'I am' });
    await rig.ollama.ledger.until(({ entries }) => entries.length === 1);
    await clock.advance(5_100);
    await rig.ollama.ledger.until(({ entries }) => entries.length === 2);
    rig.ollama.heal();
    expect((await heard).error).toBeUndefined();
    expect(rig.replies).toMatchObject([{ messages: [question, {}, { content: GO_ON }] }]);
  });

  it('is waited for no longer than the caller waits', async () => {
    const rig = await open();
    const controller = new AbortController();
    rig.ollama.hang('/api/chat');
    const heard = rig.ask({ prefill: 'I am' }, controller.signal);
    await rig.ollama.ledger.until(({ entries }) => entries.length === 1);
    controller.abort('enough');
    expect((await heard).error).toBe('enough');
    expect(rig.ollama.ledger.entries).toHaveLength(1);
  });
});

describe('a provider that is asked to go on', () => {
  it('loads the model once, and learns of a new digest what it can do', async () => {
    const clock = new VirtualClock();
    await using rig = await OllamaRig.open({ clock, ollama: { models: prefillModels } });
    const request = toRequest({ model: 'continues', prefill: 'I am a ' });
    const { content, states } = await rig.ask(request);
    expect(withoutSalts(`I am a ${content}`)).toBe(unsaltedText());
    expect(states).toStrictEqual(['model_loading', 'generating']);

    rig.ollama.addModel({ name: 'continues', digest: 'f'.repeat(64), prefill: 'closes' });
    await clock.advance(60_000);
    await rig.provider.findModel('continues');
    rig.ollama.next(restOf('I am a new model.', seeded(3)));
    expect((await rig.ask(request)).content).toBe('new model.');
    expect(rig.ollama.ledger.chats.at(-1)?.prompt).toBe(GO_ON);
    expect(rig.ollama.ledger.loads).toHaveLength(1);
  });
});
