import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { RunningService } from '../../support/running-service.ts';

/**
 * A client of the first contract: it knows `llm_request`, `llm_response` and `llm_error`, and the fields that they had
 * then. Everything else it passes over.
 */
interface FirstResponse {
  readonly success: boolean;
  readonly conversation_id: string;
  readonly response?: string;
  readonly error?: string;
  readonly message_id?: string;
}

interface FirstError {
  readonly error: string;
  readonly conversation_id: string;
  readonly timestamp: string;
}

type Told = { event: 'llm_response'; data: FirstResponse } | { event: 'llm_error'; data: FirstError };

const openPlainClient = async (url: string) => {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`);
  const told: Told[] = [];
  let wake = (): void => undefined;
  socket.on('message', (data: Buffer) => {
    const frame = JSON.parse(data.toString()) as Told | { event: string };
    if (frame.event !== 'llm_response' && frame.event !== 'llm_error') return;
    told.push(frame as Told); // one of the two
    wake();
  });
  await once(socket, 'open');
  return {
    told,
    /** Sends a request and gives what it was told next. */
    async ask(data: { conversation_id: string; message: string; metadata?: Record<string, unknown> }): Promise<Told> {
      const answered = new Promise<void>((resolve) => (wake = resolve));
      socket.send(JSON.stringify({ event: 'llm_request', data }));
      await answered;
      return told.at(-1)!; // it woke us
    },
    [Symbol.dispose]: () => socket.terminate(),
  };
};

describe('a client that knows only llm_request, llm_response and llm_error', () => {
  it('is answered with the fields and types that it knows', async () => {
    await using service = await RunningService.start();
    using client = await openPlainClient(service.url);
    const { event, data } = await client.ask({ conversation_id: 'convo_123', message: '[[say:Hello there]]' });
    expect(event).toBe('llm_response');
    expect(data).toMatchObject({
      success: true,
      conversation_id: 'convo_123',
      response: 'Hello there',
      message_id: expect.any(String),
    });
    expect(data).not.toHaveProperty('error');
  });

  it('goes on with a conversation, with metadata, one answer a request', async () => {
    await using service = await RunningService.start();
    using client = await openPlainClient(service.url);
    await client.ask({ conversation_id: 'convo_123', message: 'one', metadata: { page: { number: 1 } } });
    await client.ask({ conversation_id: 'convo_123', message: 'two' });
    expect(client.told.map(({ event }) => event)).toEqual(['llm_response', 'llm_response']);
    const { messages } = service.ollama.ledger.chats.at(-1)!.body as { messages: { content: string }[] };
    expect(messages.map(({ content }) => content)).toContain('one');
  });

  it('is told of a failure with the fields and types that it knows', async () => {
    await using service = await RunningService.start();
    using client = await openPlainClient(service.url);
    const { event, data } = await client.ask({ conversation_id: 'convo_123', message: '[[error-line:3]]' });
    expect(event).toBe('llm_error');
    expect(data).toMatchObject({
      error: expect.stringMatching(/^[A-Z].+\.$/),
      conversation_id: 'convo_123',
      timestamp: expect.any(String),
    });
    const { timestamp } = data as FirstError; // an llm_error has one
    expect(new Date(timestamp).toISOString()).toBe(timestamp);
  });

  it('is told of a request that cannot be, by the same fields', async () => {
    await using service = await RunningService.start();
    using client = await openPlainClient(service.url);
    const { event, data } = await client.ask({ conversation_id: 'convo_123', message: '' });
    expect(event).toBe('llm_error');
    expect(data).toMatchObject({ error: expect.any(String), conversation_id: 'convo_123' });
  });
});

describe('a caller of the first HTTP contract', () => {
  it('gets success, response, conversation_id and message_id', async () => {
    await using service = await RunningService.start();
    const { status, body } = await service.post('/generate_response', {
      conversation_id: 'convo_123',
      user_input: '[[say:Hello there]]',
      max_tokens: 500,
      temperature: 0.7,
    });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      success: true,
      response: 'Hello there',
      conversation_id: 'convo_123',
      message_id: expect.any(String),
    });
  });

  it('checks the success flag of an error, which names the conversation', async () => {
    await using service = await RunningService.start();
    const failed = await service.post('/generate_response', {
      conversation_id: 'convo_123',
      user_input: '[[error-line:3]]',
    });
    expect(failed.body).toMatchObject({ success: false, error: expect.any(String), conversation_id: 'convo_123' });
    const refused = await service.post('/generate_response', { conversation_id: 'convo_123' });
    expect(refused.body).toMatchObject({ success: false, error: expect.any(String), conversation_id: 'convo_123' });
  });

  it('creates a conversation with messages, system_prompt, created_at and updated_at', async () => {
    await using service = await RunningService.start();
    const { status, body } = await service.post('/conversations', {
      conversation_id: 'convo_123',
      system_prompt: 'Your custom prompt',
    });
    expect(status).toBe(201);
    expect(body).toMatchObject({
      messages: [],
      system_prompt: 'Your custom prompt',
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      updated_at: expect.any(String),
    });
  });
});
