import { describe, expect, it } from 'vitest';
import { RunningService } from '../../support/running-service.ts';
import type { SocketClient } from '../../support/socket-client.ts';

/** What the service says to one frame. */
const say = async (client: SocketClient, text: string | Buffer) => {
  const from = client.frames.length;
  client.socket.send(text);
  return (await client.waitForEnd(from)).data;
};

const sayRequest = (client: SocketClient, data: unknown) => say(client, JSON.stringify({ event: 'llm_request', data }));

describe('a frame that cannot be tied to a request', () => {
  it.each([
    ['is no JSON', 'hello', 'not valid JSON'],
    ['is empty', '', 'not valid JSON'],
    ['is no object', '[1]', 'expected object'],
    ['has no event', '{"data":{}}', 'event: '],
    ['has a field beside event and data', '{"event":"ping","id":1}', 'unknown field "id"'],
    [
      'has an unknown event',
      '{"event":"llm_reqest","data":{}}',
      'Known are: llm_request, llm_cancel, llm_resume, ping',
    ],
    ['has an event named like a member of objects', '{"event":"constructor"}', 'Unknown event "constructor"'],
    ['would reach a prototype', '{"event":"ping","data":{"__proto__":{"a":1}}}', '__proto__'],
    [
      'is nested without end',
      `{"event":"ping","data":${'['.repeat(2000)}${']'.repeat(2000)}}`,
      'nested deeper than 64',
    ],
  ])('that %s is named as invalid, and the socket stays open', async (_name, text, sentence) => {
    await using service = await RunningService.start();
    const client = await service.connect();
    const error = await say(client, text);
    expect(error).toMatchObject({ success: false, code: 'invalid_request', retryable: false });
    expect(error['error']).toContain(sentence);
    expect(error).not.toHaveProperty('message_id');
    expect(error).not.toHaveProperty('seq');
    await client.settle();
  });

  it('is refused when it is binary', async () => {
    await using service = await RunningService.start();
    const client = await service.connect();
    const error = await say(client, Buffer.from('{"event":"ping"}'));
    expect(error).toMatchObject({ code: 'invalid_request', error: expect.stringContaining('Frames are text') });
  });

  it('that is too large is refused by the name of the setting, and the socket stays open', async () => {
    await using service = await RunningService.start({ settings: { MAX_PAYLOAD_BYTES: '2000' } });
    const client = await service.connect();
    const error = await sayRequest(client, { conversation_id: 'c1', message: 'a'.repeat(2000) });
    expect(error).toMatchObject({ code: 'payload_too_large', retryable: false });
    expect(error['error']).toMatch(/at most 2000 .*MAX_PAYLOAD_BYTES/);
    await client.settle();
  });

  it('that is far too large closes the socket with the code that says so', async () => {
    await using service = await RunningService.start();
    const client = await service.connect();
    client.socket.send('a'.repeat(2 * 1024 * 1024));
    expect(await client.closed).toMatchObject({ code: 1009 });
  });

  it('closes the socket after five in a row, and what is sent behind them is not begun', async () => {
    await using service = await RunningService.start();
    const client = await service.connect();
    for (let count = 0; count < 5; count++) client.socket.send('nonsense');
    client.ask('hello');
    expect(await client.closed).toMatchObject({ code: 1008, reason: 'too many invalid frames' });
    expect(client.frames.map(({ event }) => event)).toEqual(Array<string>(5).fill('llm_error'));
    expect((await service.call('/conversations/c1')).status).toBe(404);
  });

  it('counts anew after one that is right', async () => {
    await using service = await RunningService.start();
    const client = await service.connect();
    for (let round = 0; round < 3; round++) {
      for (let count = 0; count < 4; count++) client.socket.send('nonsense');
      await client.settle();
    }
    expect(client.frames.filter(({ event }) => event === 'llm_error')).toHaveLength(12);
  });
});

describe('a request of a wrong shape', () => {
  it('is told all its mistakes at once, unknown fields by name', async () => {
    await using service = await RunningService.start();
    const client = await service.connect();
    const error = await sayRequest(client, {
      conversation_id: 'c1',
      request_id: 'r1',
      message: 5,
      temprature: 1,
      options: { temperature: 3, top_q: 1 },
      think: 'a lot',
    });
    expect(error).toMatchObject({ code: 'invalid_request', conversation_id: 'c1', request_id: 'r1' });
    for (const part of ['data.message: ', '"temprature"', 'data.options.temperature: ', '"top_q"', 'data.think: ']) {
      expect(error['error']).toContain(part);
    }
  });

  it.each([
    ['an empty message', { conversation_id: 'c1', message: '' }, 'data.message'],
    ['no conversation', { message: 'hello' }, 'data.conversation_id'],
    ['an id of 201 characters', { conversation_id: 'c'.repeat(201), message: 'hello' }, 'data.conversation_id'],
    ['max_tokens above LLM_MAX_TOKENS', ask({ options: { max_tokens: 2049 } }), 'max_tokens'],
    ['a temperature below 0', ask({ options: { temperature: -0.1 } }), 'temperature'],
    ['a temperature above 2', ask({ options: { temperature: 2.1 } }), 'temperature'],
    ['an image that is not base64', ask({ images: ['data:image/png;base64,xx'] }), 'data.images.0'],
    ['metadata that is no object', ask({ metadata: 'page 1' }), 'data.metadata'],
  ])('is refused: %s', async (_name, data, place) => {
    await using service = await RunningService.start();
    const client = await service.connect();
    const error = await sayRequest(client, data);
    expect(error).toMatchObject({ success: false, code: 'invalid_request', retryable: false });
    expect(error['error']).toContain(place);
    expect(service.ollama.ledger.chats).toHaveLength(0);
  });

  it.each([
    ['tools', 'llm_request', ask({ tools: [] })],
    ['flow', 'llm_request', ask({ flow: 'order' })],
    ['llm_tool_result', 'llm_tool_result', { message_id: 'm', tool_call_id: 't', content: '' }],
  ])('is unsupported, however often, where it asks for %s', async (_name, event, data) => {
    await using service = await RunningService.start();
    const client = await service.connect();
    for (let count = 0; count < 6; count++) {
      expect(await say(client, JSON.stringify({ event, data }))).toMatchObject({
        code: 'unsupported',
        retryable: false,
      });
    }
  });

  it.each([
    ['llm_cancel', {}, 'data.message_id'],
    ['llm_cancel', { message_id: 'm', now: true }, 'unknown field "now"'],
    ['llm_cancel', { conversation_id: 'c1' }, 'data.request_id'],
    ['llm_resume', { message_id: 'm' }, 'data.seq'],
    ['llm_resume', { message_id: 'm', seq: -1, digest: 'x' }, 'data.digest'],
  ])('of %s is told its mistakes: %j', async (event, data, sentence) => {
    await using service = await RunningService.start();
    const client = await service.connect();
    const error = await say(client, JSON.stringify({ event, data }));
    expect(error).toMatchObject({ code: 'invalid_request', error: expect.stringContaining(sentence) });
  });
});

describe('text that is hard to keep', () => {
  it.each([
    ['null bytes', 'a\0b'],
    ['what JSON escapes', '"\\\n\u2028<b>&'],
    ['characters of four bytes', '😀👩‍👩‍👧'],
    ['half a surrogate pair', 'a\ud800b'],
  ])('goes through, there and back: %s', async (_name, message) => {
    await using service = await RunningService.start();
    const client = await service.connect();
    const end = await client.request(message, { metadata: { said: message } });
    expect(end).toMatchObject({ event: 'llm_response', data: { metadata: { said: message } } });
    const { body } = await service.call('/conversations/c1/messages');
    expect(body['messages']).toMatchObject([{ content: message }, { role: 'assistant' }]);
  });

  it('names a conversation as the client does', async () => {
    await using service = await RunningService.start();
    const client = await service.connect();
    const conversation_id = '../a b?#%00\0😀';
    await client.request('hello', { conversation_id });
    const { status, body } = await service.call(`/conversations/${encodeURIComponent(conversation_id)}`);
    expect({ status, id: body['conversation_id'] }).toEqual({ status: 200, id: conversation_id });
  });
});

describe('ping', () => {
  it.each([['nothing'], ['null', null], ['a number', 1], ['an object', { a: [1, { b: null }] }], ['a text', 'x']])(
    'is answered by pong with the same data: %s',
    async (_name, data?: unknown) => {
      await using service = await RunningService.start();
      const client = await service.connect();
      client.send('ping', data);
      const { text } = await client.waitForEvent('pong');
      expect(JSON.parse(text)).toEqual({ event: 'pong', data: data ?? null });
    },
  );
});

function ask(fields: Record<string, unknown>) {
  return { conversation_id: 'c1', message: 'hello', ...fields };
}
