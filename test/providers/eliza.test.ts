import { describe, expect, it } from 'vitest';
import { ElizaProvider } from '../../src/providers/eliza.ts';
import type { PromptMessage, ProviderRequest } from '../../src/providers/provider.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import { hear, toRequest } from './ollama-rig.ts';
import type { Heard } from './ollama-rig.ts';

const user = (content: string): PromptMessage => ({ role: 'user', content });
const assistant = (content: string): PromptMessage => ({ role: 'assistant', content });

const ask = async (request: Partial<ProviderRequest>): Promise<Heard & { tookMs: number }> => {
  const clock = new VirtualClock();
  const eliza = new ElizaProvider({ clock, standsInFor: 'llama3', ids: { newId: () => 'id', random: () => 0 } });
  const begunAt = clock.now();
  let endedAt = begunAt;
  const heard = hear(eliza.stream(toRequest(request), new AbortController().signal)).finally(
    () => (endedAt = clock.now()),
  );
  await clock.advance(10_000);
  return { ...(await heard), tookMs: endedAt - begunAt };
};

const later = async (content: string): Promise<string> =>
  (await ask({ messages: [user('hello'), assistant('Hello.'), user(content)] })).content;

describe('ElizaProvider', () => {
  it.each([
    ['I need my dog, badly', 'Why do you need your dog, badly?'],
    ['Well, I am sad about you.', 'How long have you been sad about I?'],
    ["I can't sleep", 'How do you know that you cannot sleep?'],
    ['my mother calls', 'Tell me more about your family.'],
    ['Is this real?', 'What do you think yourself?'],
    ['', 'Please tell me more.'],
    ['zzz', 'Please tell me more.'],
  ])('answers "%s" by a rule, seen from its side', async (said, answer) => {
    expect(await later(said)).toBe(answer);
  });

  it('says in the first reply of a conversation why it answers, and what to do', async () => {
    expect((await ask({ messages: [user('hello')] })).content).toMatch(
      /ELIZA.*install Ollama, then: ollama pull llama3/s,
    );
    expect(await later('hello')).not.toContain('Ollama');
  });

  it('comes word by word, slowly enough to be seen', async () => {
    const { arrays, tookMs, finish } = await ask({ messages: [user('zzz'), assistant('?'), user('zzz')] });
    expect(arrays.slice(0, -1).map(([part]) => part?.type === 'text-delta' && part.text)).toStrictEqual([
      'Please ',
      'tell ',
      'me ',
      'more.',
    ]);
    expect(tookMs).toBe(100);
    expect(finish).toStrictEqual({ type: 'finish', finishReason: 'stop' });
  });

  it('takes a word for a token: at max_tokens it ends with length', async () => {
    const { content, finish } = await ask({ messages: [user('hello')], maxTokens: 3 });
    expect(content).toBe('Hello. How are ');
    expect(finish?.finishReason).toBe('length');
  });

  it('answers a very long message quickly, and shortly', async () => {
    const begun = performance.now();
    const answer = await later(`I need ${'more and '.repeat(100_000)}? ${' '.repeat(50_000)}x`);
    expect(answer.length).toBeLessThan(200);
    expect(performance.now() - begun).toBeLessThan(2_000);
  });

  it('says the same to the same', async () => {
    expect(await later('I think of you')).toBe(await later('I think of you'));
  });
});
