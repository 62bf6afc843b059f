import { describe, expect, it } from 'vitest';
import { createGatedReply } from '../../support/gated-reply.ts';
import { RunningService } from '../../support/running-service.ts';
import { isEnd, seqs, textOf } from '../../support/socket-client.ts';

describe('a request over the socket', () => {
  it('is accepted, told while it is made by events 1, 2, 3 …, and ends with exactly one llm_response', async () => {
    await using service = await RunningService.start();
    const client = await service.connect();
    const { event, data } = await client.request('[[long:50]]', {
      request_id: 'r1',
      metadata: { page: [1, { a: null }] },
    });
    await client.settle();
    expect(client.frames[0]).toMatchObject({
      event: 'llm_accepted',
      data: { conversation_id: 'c1', request_id: 'r1', duplicate: false, message_id: data['message_id'] },
    });
    expect(event).toBe('llm_response');
    expect(client.frames.filter(isEnd)).toHaveLength(1);
    const numbers = seqs(client.frames);
    expect(numbers).toEqual(numbers.map((_, index) => index + 1));
    expect(textOf(client.frames)).toBe(data['response']);
    expect(data).toMatchObject({
      success: true,
      conversation_id: 'c1',
      request_id: 'r1',
      finish_reason: 'stop',
      model: 'tiny-chat',
      usage: { source: 'measured' },
      length: String(data['response']).length,
      metadata: { page: [1, { a: null }] },
    });
    const { usage } = data as { usage: Record<string, number> };
    expect(usage['total_tokens']).toBe(usage['prompt_tokens']! + usage['completion_tokens']!);
  });

  it('gets an id where it brings none', async () => {
    await using service = await RunningService.start();
    const client = await service.connect();
    const { data } = await client.request('hello');
    expect(data['request_id']).toMatch(/^.{16,}$/);
    expect((await client.waitForEvent('llm_accepted')).data['request_id']).toBe(data['request_id']);
  });

  it('ends with exactly one llm_error where the backend fails, numbered, with the partial text', async () => {
    await using service = await RunningService.start();
    const client = await service.connect();
    const { event, data } = await client.request('[[error-line:8]]', { request_id: 'r1' });
    await client.settle();
    expect(event).toBe('llm_error');
    expect(client.frames.filter(isEnd)).toHaveLength(1);
    expect(data).toMatchObject({
      success: false,
      code: 'backend_error',
      retryable: true,
      conversation_id: 'c1',
      request_id: 'r1',
      message_id: expect.any(String),
      response: textOf(client.frames),
      usage: { source: 'estimated' },
    });
    expect(seqs(client.frames).at(-1)).toBe(data['seq']);
  });

  it.each([
    ['backend_unavailable', true, '[[busy]]'],
    ['backend_error', true, '[[no-done:3]]'],
    ['empty_response', false, '[[empty]]'],
  ])('fails with %s, retryable: %s', async (code, retryable, message) => {
    await using service = await RunningService.start();
    const client = await service.connect();
    const { data } = await client.request(message);
    expect(data).toMatchObject({ success: false, code, retryable, seq: expect.any(Number) });
  });

  it('thinks on a channel of its own, where it is told to', async () => {
    await using service = await RunningService.start();
    const client = await service.connect();
    const { data } = await client.request('hello', { think: true });
    expect(textOf(client.frames, 'thinking')).toMatch(/^I think about it/);
    expect(textOf(client.frames)).toBe(data['response']);
    const [first, second] = ['thinking', 'content'].map((name) =>
      client.frames.find(({ data: { channel } }) => channel === name),
    );
    expect([first?.data['at'], second?.data['at']]).toEqual([0, 0]);
  });

  it('takes a system prompt with the first turn only', async () => {
    await using service = await RunningService.start();
    const client = await service.connect();
    await client.request('one', { system_prompt: 'You are a pirate.' });
    await client.request('two');
    const { data } = await client.request('three', { system_prompt: 'You are a nurse.' });
    expect(data).toMatchObject({ code: 'invalid_request', error: expect.stringContaining('system_prompt') });
    const asked = service.ollama.ledger.chats.map(({ body }) => body as { messages: unknown[] });
    const pirate = { role: 'system', content: 'You are a pirate.' };
    expect(asked.map(({ messages }) => messages[0])).toEqual([pirate, pirate]);
  });

  it('says when history was left out', async () => {
    await using service = await RunningService.start({ settings: { LLM_MAX_TURNS: '2' } });
    const client = await service.connect();
    for (const message of ['one', 'two']) await client.request(message);
    const from = client.frames.length;
    await client.request('three');
    expect(client.frames.slice(from).find(({ event }) => event === 'llm_context')?.data).toMatchObject({
      seq: 1,
      dropped_turns: expect.any(Number),
      context_window: expect.any(Number),
    });
  });
});

describe('a request that is refused', () => {
  it.each([
    ['an unknown model', { model: 'gpt-17' }, 'model_not_found'],
    ['thinking of a model that cannot', { model: 'tiny-plain', think: true }, 'unsupported'],
    ['images for a model that cannot see', { model: 'tiny-plain', images: ['AAAA'] }, 'unsupported'],
    ['a prompt that does not fit', { message: 'word '.repeat(9000) }, 'context_length_exceeded'],
    ['a format that is no schema', { format: { type: 'nonsense' } }, 'invalid_request'],
    ['too many tokens', { options: { max_tokens: 100_000 } }, 'invalid_request'],
  ])('stores nothing, binds no request_id, has neither message_id nor seq: %s', async (_name, fields, code) => {
    await using service = await RunningService.start();
    const client = await service.connect();
    const { event, data } = await client.request('hello', { request_id: 'r1', ...fields });
    expect(event).toBe('llm_error');
    expect(data).toMatchObject({ success: false, code, retryable: false, conversation_id: 'c1', request_id: 'r1' });
    expect(data).not.toHaveProperty('message_id');
    expect(data).not.toHaveProperty('seq');
    expect((await service.call('/conversations/c1')).status).toBe(404);
    expect(client.frames).toHaveLength(1);
    expect(await client.request('another', { request_id: 'r1' })).toMatchObject({ event: 'llm_response' });
  });
});

describe('a repeated request', () => {
  it('attaches to the running reply, replays it from the start and goes on live', async () => {
    await using service = await RunningService.start();
    const { script, gate } = createGatedReply();
    service.ollama.next(script);
    const [first, second] = [await service.connect(), await service.connect()];
    first.ask('hello', { request_id: 'r1' });
    await first.waitForEvent('llm_delta');
    second.ask('hello', { request_id: 'r1', stream: 'cumulative', if_busy: 'interrupt' });
    await second.waitForEvent('llm_delta');
    gate.open();
    const ends = [await first.waitForEnd(), await second.waitForEnd()];
    expect(ends[1]?.data).toEqual(ends[0]?.data);
    expect((await second.waitForEvent('llm_accepted')).data).toMatchObject({ duplicate: true, request_id: 'r1' });
    expect(seqs(second.frames)).toEqual(seqs(first.frames));
    expect(service.ollama.ledger.chats).toHaveLength(1);
  });

  it('is told the end of an ended reply again, a failure too', async () => {
    await using service = await RunningService.start();
    const client = await service.connect();
    for (const message of ['hello', '[[error-line:3]]']) {
      const first = await client.request(message, { request_id: message });
      const second = await client.request(message, { request_id: message });
      expect(second.text).toBe(first.text);
    }
    expect(service.ollama.ledger.chats).toHaveLength(2);
  });

  it('makes one reply of twenty at once, over both wires', async () => {
    await using service = await RunningService.start();
    const sockets = await Promise.all(Array.from({ length: 10 }, () => service.connect()));
    const asked = { conversation_id: 'c1', request_id: 'r1' };
    const ends = await Promise.all([
      ...sockets.map(async (socket) => (await socket.request('hello', asked)).data),
      ...sockets.map(async () => (await service.post('/generate_response', { ...asked, user_input: 'hello' })).body),
    ]);
    expect(new Set(ends.map((end) => JSON.stringify(end))).size).toBe(1);
    const accepted = await Promise.all(sockets.map((socket) => socket.waitForEvent('llm_accepted')));
    expect(accepted.filter(({ data }) => data['duplicate'] === false).length).toBeLessThanOrEqual(1);
    expect(service.ollama.ledger.chats).toHaveLength(1);
  });

  it('may come twenty times on one socket', async () => {
    await using service = await RunningService.start();
    const { script, gate } = createGatedReply();
    service.ollama.next(script);
    const client = await service.connect();
    for (let count = 0; count < 20; count++) client.ask('hello', { request_id: 'r1' });
    await client.settle();
    await gate.reached;
    gate.open();
    await client.waitForEnd();
    await client.settle();
    expect(client.frames.filter(({ event }) => event === 'llm_accepted')).toHaveLength(20);
    expect(client.frames.filter(isEnd)).toHaveLength(1);
    expect(service.ollama.ledger.chats).toHaveLength(1);
  });

  it('conflicts with another body', async () => {
    await using service = await RunningService.start();
    const client = await service.connect();
    await client.request('hello', { request_id: 'r1', options: { temperature: 0.7 } });
    for (const fields of [
      { message: 'goodbye' },
      { options: { temperature: 0.8 } },
      { metadata: { a: 1 } },
      { think: true },
    ]) {
      const { data } = await client.request('hello', { request_id: 'r1', ...fields });
      expect(data).toMatchObject({ code: 'request_conflict', retryable: false, request_id: 'r1' });
      expect(data).not.toHaveProperty('message_id');
    }
    const { event } = await client.request('hello', { request_id: 'r1', stream: 'none', metadata: {} });
    expect(event).toBe('llm_response'); // a default that is given, and how it is told, are no difference
  });

  it('is known within its conversation only', async () => {
    await using service = await RunningService.start();
    const client = await service.connect();
    const one = await client.request('hello', { request_id: 'r1' });
    const other = await client.request('goodbye', { request_id: 'r1', conversation_id: 'c2' });
    expect(other.data['message_id']).not.toBe(one.data['message_id']);
  });
});

describe('a conversation in which a reply runs', () => {
  it('is busy, and says with what', async () => {
    await using service = await RunningService.start();
    const { script, gate } = createGatedReply();
    service.ollama.next(script);
    const client = await service.connect();
    client.ask('hello');
    const { data: accepted } = await client.waitForEvent('llm_accepted');
    await gate.reached;
    const { data: busy } = await client.request('and?', { request_id: 'r2' });
    expect(busy).toMatchObject({
      code: 'conversation_busy',
      retryable: false,
      active_message_id: accepted['message_id'],
      request_id: 'r2',
    });
    expect(busy).not.toHaveProperty('message_id');
    gate.open();
    await client.waitFor(({ event }) => event === 'llm_response');
    expect(await client.request('and?', { request_id: 'r2' })).toMatchObject({ event: 'llm_response' });
  });

  it('lets a request interrupt, and keeps what was said', async () => {
    await using service = await RunningService.start();
    const { script, gate } = createGatedReply('once upon');
    service.ollama.next(script);
    const client = await service.connect();
    client.ask('hello', { request_id: 'r1' });
    await gate.reached;
    await client.waitForEvent('llm_delta');
    client.ask('[[say:stop then]]', { request_id: 'r2', if_busy: 'interrupt' });
    const first = await client.waitFor((frame) => isEnd(frame) && frame.data['request_id'] === 'r1');
    const second = await client.waitFor((frame) => isEnd(frame) && frame.data['request_id'] === 'r2');
    expect(first.data).toMatchObject({ finish_reason: 'cancelled', response: 'once upon' });
    expect(second.data).toMatchObject({ finish_reason: 'stop', response: 'stop then' });
    const { messages } = service.ollama.ledger.chats.at(-1)!.body as { messages: unknown[] };
    expect(messages).toMatchObject([{}, { content: 'hello' }, { content: 'once upon' }, { role: 'user' }]);
  });

  it('leaves others free', async () => {
    await using service = await RunningService.start({ ollama: { parallel: 2 } });
    const { script, gate } = createGatedReply();
    service.ollama.next(script);
    const client = await service.connect();
    client.ask('hello');
    await gate.reached;
    const { data } = await client.request('[[say:here]]', { conversation_id: 'c2' });
    expect(data).toMatchObject({ response: 'here', conversation_id: 'c2' });
    gate.open();
  });

  it('takes requests in the order in which they came', async () => {
    await using service = await RunningService.start();
    const { script, gate } = createGatedReply();
    service.ollama.next(script);
    const client = await service.connect();
    const ids = Array.from({ length: 200 }, (_, index) => `r${index}`);
    for (const request_id of ids) client.ask('hello', { request_id });
    await client.waitFor(({ data }) => data['request_id'] === ids.at(-1));
    const refused = client.frames.filter(({ data }) => data['code'] === 'conversation_busy');
    expect(refused.map(({ data }) => data['request_id'])).toEqual(ids.slice(1));
    expect((await client.waitForEvent('llm_accepted')).data['request_id']).toBe(ids[0]);
    gate.open();
  });
});
