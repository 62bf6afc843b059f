import { describe, expect, it } from 'vitest';
import { ask, linesOf, say, textOf } from './ask.ts';
import { type Engine, ScriptedOllama, unsaltedText, withoutSalts } from './scripted-ollama.ts';

describe('what the scripted Ollama says', () => {
  it('is salted anew for every request, and the same text without the salt', async () => {
    await using ollama = await ScriptedOllama.start();
    const [first, second] = [await textOf(await ask(ollama)), await textOf(await ask(ollama))];
    expect(first).not.toBe(second);
    expect(withoutSalts(first)).toBe(unsaltedText());
    expect(withoutSalts(second)).toBe(unsaltedText());
    expect(first).toContain(ollama.ledger.chats[0]?.salt);
  });

  it('never holds what it was asked', async () => {
    await using ollama = await ScriptedOllama.start();
    const answer = await ask(ollama, { ...say('a secret'), think: true, format: 'json' });
    expect(await answer.text()).not.toContain('secret');
  });

  it('goes on exactly where a begun answer was cut', async () => {
    await using ollama = await ScriptedOllama.start();
    const whole = await textOf(await ask(ollama));
    const begun = whole.slice(0, whole.indexOf(' 5'));
    const rest = await textOf(
      await ask(ollama, { messages: [...say('hello').messages, { role: 'assistant', content: begun }] }),
    );
    expect(withoutSalts(begun + rest)).toBe(unsaltedText());
    expect(rest).toContain(ollama.ledger.chats[1]?.salt);
  });

  it.each([
    ['continues', unsaltedText().slice('I am a '.length)],
    ['trims', unsaltedText().slice('I am a'.length)],
    ['closes', unsaltedText()],
    ['echoes', `I am a${unsaltedText().slice('I am a'.length)}`],
  ] as const)('treats a begun answer as its model does: %s', async (prefill, expected) => {
    await using ollama = await ScriptedOllama.start({ models: [{ name: 'tiny-chat', prefill }] });
    const answer = await ask(ollama, {
      messages: [...say('hello').messages, { role: 'assistant', content: 'I am a ' }],
    });
    expect(withoutSalts(await textOf(answer))).toBe(expected);
  });

  it('meets a schema', async () => {
    await using ollama = await ScriptedOllama.start();
    const properties = { city: { type: 'string' }, kind: { enum: ['a', 'b'] }, list: { type: 'array' }, more: {} };
    const format = { type: 'object', required: ['city', 'kind', 'list'], properties };
    const text = await textOf(await ask(ollama, { format }));
    expect(JSON.parse(text)).toEqual({ city: ollama.ledger.chats[0]?.salt, kind: 'a', list: [] });
  });

  it('ends with `length` at num_predict, and counts what it said', async () => {
    await using ollama = await ScriptedOllama.start();
    const lines = await linesOf(await ask(ollama, { options: { num_predict: 5 } }));
    expect(lines).toHaveLength(6);
    expect(lines.at(-1)).toMatchObject({ done_reason: 'length', eval_count: 5 });
    expect(ollama.ledger.chats[0]).toMatchObject({ tokens: 5, outcome: 'answered', status: 200 });
  });

  it.each<[Engine, object, object]>([
    ['may', {}, { status: 200, last: { prompt_eval_count: 64 } }],
    ['may', { truncate: false }, { status: 400, last: { error: 'the input length exceeds the context length' } }],
    ['rendered', {}, { status: 200, last: { prompt_eval_count: 34 } }],
    [
      'rendered',
      { truncate: false },
      { status: 400, last: { error: expect.stringMatching(/^\{"error":\{"code":400/) } },
    ],
    [
      'rendered',
      { shift: false },
      { status: 400, last: { error: expect.stringMatching(/^the prompt is longer than/) } },
    ],
    ['native', {}, { status: 400, last: { error: expect.stringContaining('"n_prompt_tokens":254,"n_ctx":64') } }],
  ])('treats too long a prompt as its engine does: %s %o', async (engine, fields, expected) => {
    await using ollama = await ScriptedOllama.start({ engine });
    const answer = await ask(ollama, { ...say('x'.repeat(1000)), options: { num_ctx: 64 }, ...fields });
    expect({ status: answer.status, last: (await linesOf(answer)).at(-1) }).toMatchObject(expected);
  });
});
