import { describe, expect, it } from 'vitest';
import { createGatedReply } from '../../support/gated-reply.ts';
import { RunningService } from '../../support/running-service.ts';

const ask = (user_input: string, fields: object = {}) => ({ conversation_id: 'c1', user_input, ...fields });

describe('POST /generate_response', () => {
  it('answers with the whole reply', async () => {
    await using service = await RunningService.start();
    const { status, headers, body } = await service.post(
      '/generate_response',
      ask('[[say:Hello there]]', { request_id: 'r1', metadata: { page: 1 } }),
    );
    expect(status).toBe(200);
    expect(headers.get('content-type')).toMatch(/^application\/json/);
    expect(body).toMatchObject({
      success: true,
      response: 'Hello there',
      conversation_id: 'c1',
      message_id: expect.any(String),
      request_id: 'r1',
      finish_reason: 'stop',
      model: 'tiny-chat',
      usage: { source: 'measured' },
      timings: { total_ms: expect.any(Number) },
      length: 11,
      metadata: { page: 1 },
    });
  });

  it('passes on the options, which stand flat in the body', async () => {
    await using service = await RunningService.start();
    const options = { temperature: 0, top_p: 0.5, top_k: 3, min_p: 0.1, seed: 7, stop: ['END'], repeat_penalty: 1.1 };
    await service.post('/generate_response', ask('hello', { ...options, max_tokens: 40, presence_penalty: 0.5 }));
    expect(service.ollama.ledger.chats[0]?.body).toMatchObject({
      options: { ...options, num_predict: 40, presence_penalty: 0.5 },
    });
  });

  it('takes request_id as Idempotency-Key too: a repeat attaches, another body conflicts', async () => {
    await using service = await RunningService.start();
    const key = { 'idempotency-key': 'r1' };
    const first = await service.post('/generate_response', ask('hello'), key);
    const second = await service.post('/generate_response', ask('hello'), key);
    const third = await service.post('/generate_response', ask('hello', { request_id: 'r1' }), key);
    expect([first.text, third.text]).toEqual([second.text, second.text]);
    expect(first.body['request_id']).toBe('r1');
    expect(await service.post('/generate_response', ask('goodbye'), key)).toMatchObject({
      status: 422,
      body: { code: 'request_conflict', retryable: false },
    });
    expect(await service.post('/generate_response', ask('hello', { request_id: 'r2' }), key)).toMatchObject({
      status: 400,
      body: { code: 'invalid_request' },
    });
    expect(service.ollama.ledger.chats).toHaveLength(1);
  });

  it('answers a repeat when the running reply ends', async () => {
    await using service = await RunningService.start();
    const { script, gate } = createGatedReply();
    service.ollama.next(script);
    const asked = ask('hello', { request_id: 'r1' });
    const both = Promise.all([service.post('/generate_response', asked), service.post('/generate_response', asked)]);
    await gate.reached;
    gate.open();
    const [one, other] = await both;
    expect(one.text).toBe(other.text);
    expect(one.body['response']).toBe('one two three');
  });

  it('goes on when the client leaves', async () => {
    await using service = await RunningService.start();
    const { script, gate } = createGatedReply();
    service.ollama.next(script);
    const leaving = new AbortController();
    const asked = ask('hello', { request_id: 'r1' });
    const answer = service.call('/generate_response', { body: asked, signal: leaving.signal });
    await gate.reached;
    leaving.abort();
    await expect(answer).rejects.toThrow(/abort/);
    gate.open();
    const { body } = await service.post('/generate_response', asked);
    expect(body['response']).toBe('one two three');
    expect(service.ollama.ledger.chats).toMatchObject([{ abortedByClient: false }]);
  });

  it('answers at once with background, and the reply is under /replies', async () => {
    await using service = await RunningService.start();
    const { script, gate } = createGatedReply();
    service.ollama.next(script);
    const { status, body } = await service.post('/generate_response', ask('hello', { background: true }));
    expect(status).toBe(202);
    expect(body).toMatchObject({
      success: true,
      conversation_id: 'c1',
      duplicate: false,
      request_id: expect.any(String),
    });
    const path = `/replies/${String(body['message_id'])}`;
    using events = await service.openEvents(`${path}/events`);
    await events.waitForEvent('llm_delta');
    expect((await service.call(path)).body).toMatchObject({ state: 'running', response: 'one two', seq: 1 });
    gate.open();
    await events.waitForEvent('llm_response');
    expect((await service.call(path)).body).toMatchObject({
      success: true,
      state: 'done',
      response: 'one two three',
      finish_reason: 'stop',
      seq: 3,
      ended_at: expect.any(String),
    });
  });

  it('keeps a failure under /replies, and in the conversation', async () => {
    await using service = await RunningService.start();
    const failed = await service.post('/generate_response', ask('[[error-line:3]]'));
    expect(failed).toMatchObject({ status: 502, body: { success: false, code: 'backend_error', retryable: true } });
    const { body } = await service.call(`/replies/${String(failed.body['message_id'])}`);
    expect(body).toMatchObject({
      state: 'failed',
      error: { code: 'backend_error' },
      response: failed.body['response'],
    });
    expect((await service.call('/conversations/c1/messages')).body['messages']).toMatchObject([
      { role: 'user' },
      { role: 'assistant', state: 'failed', error: { code: 'backend_error' } },
    ]);
  });

  it('interrupts a running reply where it is told to', async () => {
    await using service = await RunningService.start();
    const { script, gate } = createGatedReply();
    service.ollama.next(script);
    const { body } = await service.post('/generate_response', ask('hello', { background: true }));
    await gate.reached;
    const busy = await service.post('/generate_response', ask('and?'));
    expect(busy).toMatchObject({
      status: 409,
      body: { code: 'conversation_busy', retryable: false, active_message_id: body['message_id'] },
    });
    const { status } = await service.post('/generate_response', ask('and?', { if_busy: 'interrupt' }));
    expect(status).toBe(200);
    expect((await service.call(`/replies/${String(body['message_id'])}`)).body['state']).toBe('cancelled');
  });
});
