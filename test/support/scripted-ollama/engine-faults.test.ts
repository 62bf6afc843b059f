import { describe, expect, it } from 'vitest';
import { ask, linesOf, say, textOf } from './ask.ts';
import { rawExchange } from './raw-exchange.ts';
import { createGate, ScriptedOllama } from './scripted-ollama.ts';

const STOPPED = expect.stringMatching(/^model runner has unexpectedly stopped/);
const EOF_LINE = 'an error was encountered while running the model: unexpected EOF';

/** A schema of one text, and what is asked of it. */
const textWith = (keywords: object) => ({ type: 'object', properties: { text: { type: 'string', ...keywords } } });
const optional = (count: number) => ({
  type: 'object',
  properties: Object.fromEntries(Array.from({ length: count }, (_, index) => [`p${index}`, { type: 'string' }])),
});

describe('what brings a runner down', () => {
  it.each([
    ['a penalty of 0', { options: { repeat_penalty: 0 } }],
    ['a penalty that is 0 in single precision', { options: { repeat_penalty: 1e-300 } }],
    ['a share above the whole', { options: { min_p: 1.5 } }],
    ['a class in a pattern', { format: textWith({ pattern: String.raw`^\d{3}$` }) }],
    ['another', { format: textWith({ pattern: String.raw`^\S+@\S+$` }) }],
    ['a long text', { format: textWith({ maxLength: 5000 }) }],
    ['a long list', { format: { type: 'array', items: {}, maxItems: 100_000 } }],
    ['many optional properties', { format: optional(300) }],
  ])('%s', async (_what, fields) => {
    await using ollama = await ScriptedOllama.start();
    const answer = await ask(ollama, fields);
    expect({ status: answer.status, body: await answer.json() }).toEqual({ status: 500, body: { error: STOPPED } });
    expect(ollama.ledger.unloads).toEqual(['tiny-chat:latest']);
    expect((await ask(ollama)).status).toBe(200);
    expect(ollama.ledger.loads).toHaveLength(2);
  });

  it('takes the replies of others along, and those who wait for a slot', async () => {
    await using ollama = await ScriptedOllama.start({ parallel: 2 });
    const gate = createGate();
    ollama.next([{ say: 'one' }, { hang: true }], [{ waitFor: gate }, { crash: 'runner' }]);
    const inMiddle = await ask(ollama);
    const crashing = ask(ollama);
    await ollama.ledger.until(({ running }) => running === 2);
    const waiting = ask(ollama);
    await ollama.ledger.until(({ chats }) => chats.length === 3);
    gate.open();
    expect((await linesOf(inMiddle)).at(-1)).toEqual({ error: EOF_LINE });
    expect(await (await crashing).json()).toEqual({ error: STOPPED });
    expect(await (await waiting).json()).toEqual({ error: 'llama runner process no longer running: -1' });
  });

  it('does so behind the thinking, where the model is held to the format only then', async () => {
    await using ollama = await ScriptedOllama.start();
    const lines = await linesOf(await ask(ollama, { think: true, format: textWith({ maxLength: 5000 }) }));
    expect(lines[0]?.message?.thinking).toBe('I');
    expect(lines.at(-1)).toEqual({ error: EOF_LINE });
  });
});

describe('what brings Ollama itself down', () => {
  it.each(['^(?:a|b)$', '^(?=a)ab$', '^(?!a)b$'])('the pattern %s', async (pattern) => {
    await using ollama = await ScriptedOllama.start();
    await expect(ask(ollama, { format: textWith({ pattern }) })).rejects.toThrow('fetch failed');
    expect(ollama.ledger.chats[0]).toMatchObject({ status: undefined, outcome: 'killed' });
    await expect(ask(ollama)).rejects.toThrow('fetch failed');
    await ollama.restart();
    expect((await ask(ollama)).status).toBe(200);
  });
});

describe('a schema that no grammar can be made of', () => {
  it.each([
    ['a pattern without its ends', textWith({ pattern: '[0-9]' })],
    ['a pattern that is no regular expression', textWith({ pattern: '^[a-$' })],
    ['an unknown type', { type: 'date' }],
    ['a reference that leads nowhere', { $ref: '#/$defs/nothing' }],
  ])('is refused: %s', async (_what, format) => {
    await using ollama = await ScriptedOllama.start();
    const answer = await ask(ollama, { format });
    expect({ status: answer.status, body: await answer.json() }).toEqual({
      status: 500,
      body: { error: 'invalid JSON schema in format' },
    });
  });

  it('is refused by newer engines, whatever is wrong with it', async () => {
    await using ollama = await ScriptedOllama.start({ engine: 'rendered' });
    const answer = await ask(ollama, { format: textWith({ pattern: '^(?:a|b)$' }) });
    expect({ status: answer.status, body: await answer.json() }).toEqual({
      status: 400,
      body: { error: 'Failed to initialize samplers: failed to parse grammar' },
    });
  });

  it('is none of the everyday ones', async () => {
    await using ollama = await ScriptedOllama.start();
    const format = textWith({ pattern: '^[0-9]{3}$', minLength: 1, maxLength: 100 });
    expect((await ask(ollama, { format })).status).toBe(200);
  });
});

describe('a model that repeats itself', () => {
  it('ends cleanly behind 31 equal tokens, without a last line', async () => {
    await using ollama = await ScriptedOllama.start();
    const answer = await rawExchange(ollama.port, {
      method: 'POST',
      path: '/api/chat',
      body: { model: 'tiny-chat', think: false, ...say('hello'), options: { frequency_penalty: -2 } },
    });
    expect(answer.chunks).toHaveLength(31);
    expect(answer.chunkedTerminator).toBe(true);
    expect(answer.chunks.at(-1)).toContain('"done":false');
  });

  it('goes on to its limit where the engine has no guard', async () => {
    await using ollama = await ScriptedOllama.start({ engine: 'native' });
    const lines = await linesOf(await ask(ollama, { options: { frequency_penalty: -2, num_predict: 50 } }));
    expect(lines.at(-1)).toMatchObject({ done_reason: 'length' });
  });
});

describe('what Go says of a body', () => {
  it.each<readonly [string, string]>([
    ['hello', "invalid character 'h' looking for beginning of value"],
    ['{a:1}', "invalid character 'a' looking for beginning of object key string"],
    ['{"a" 1}', "invalid character '1' after object key"],
    ['{"a":1 2}', "invalid character '2' after object key:value pair"],
    ['{"a":[1 2]}', "invalid character '2' after array element"],
    ['{"model":', 'unexpected EOF'],
    ['{"model":"a', 'unexpected EOF'],
    ['7', 'json: cannot unmarshal number into Go value of type api.ChatRequest'],
    ['{"model":7}', 'json: cannot unmarshal number into Go struct field ChatRequest.model of type string'],
    [
      '{"messages":"x"}',
      'json: cannot unmarshal string into Go struct field ChatRequest.messages of type []api.Message',
    ],
    [
      '{"messages":[{"content":[]}]}',
      'json: cannot unmarshal array into Go struct field ChatRequest.messages.content of type string',
    ],
    ['{"stream":"no"}', 'json: cannot unmarshal string into Go struct field ChatRequest.stream of type bool'],
    ['{"top_logprobs":21}', 'top_logprobs must be between 0 and 20'],
  ])('%s', async (body, error) => {
    await using ollama = await ScriptedOllama.start();
    const answer = await fetch(`${ollama.url}/api/chat`, { method: 'POST', body });
    expect({ status: answer.status, body: await answer.json() }).toEqual({ status: 400, body: { error } });
  });

  it('is nothing of a message without a role, nor of what stands behind the body', async () => {
    await using ollama = await ScriptedOllama.start();
    const body = '{"model":"tiny-plain","messages":[{"content":"hello"}]} and more';
    const answer = await fetch(`${ollama.url}/api/chat`, { method: 'POST', body });
    expect(await textOf(answer)).toContain('I ');
  });
});
