import { describe, expect, it } from 'vitest';
import { createGatedReply } from '../../support/gated-reply.ts';
import { RunningService } from '../../support/running-service.ts';

describe('/conversations', () => {
  it('creates one, with an id of its own where none is given', async () => {
    await using service = await RunningService.start();
    const given = { system_prompt: 'Be brief.', metadata: { page: 1 }, model: 'tiny-plain' };
    const { status, body } = await service.post('/conversations', given);
    expect(status).toBe(201);
    expect(body).toMatchObject({ success: true, ...given, messages: [], message_count: 0, active_reply: null });
    const read = await service.call(`/conversations/${String(body['conversation_id'])}`);
    expect(read.status).toBe(200);
    expect({ ...read.body, messages: [] }).toEqual(body);
    await service.post('/generate_response', { conversation_id: body['conversation_id'], user_input: 'hello' });
    expect(service.ollama.ledger.chats[0]?.body).toMatchObject({
      model: 'tiny-plain:latest',
      messages: [{ role: 'system', content: 'Be brief.' }, { content: 'hello' }],
    });
  });

  it('shows what the model is told of the turns that it is not sent any more', async () => {
    await using service = await RunningService.start({ settings: { LLM_SUMMARIZE: 'true', LLM_MAX_TURNS: '4' } });
    const ask = (user_input: string) => service.post('/generate_response', { conversation_id: 'c1', user_input });
    const read = async () => (await service.call('/conversations/c1')).body['summary'];
    for (const word of ['one', 'two', 'three']) await ask(word);
    const isJob = ({ prompt }: { readonly prompt: string }) => prompt.includes('Sum up our whole conversation');
    const isKept = /^llm_store_seconds_count\{[^}]*operation="keepSummary"[^}]*\} 1$/m;
    await expect.poll(async () => (await service.call('/metrics')).text).toMatch(isKept);
    const salt = service.ollama.ledger.chats.find(isJob)?.salt ?? '';
    for (const word of ['four', 'five']) {
      expect(await read()).toBeNull();
      await ask(word);
    }
    const summary = { position: 4, model: 'tiny-chat', created_at: expect.stringMatching(/Z$/) };
    expect(await read()).toEqual({ ...summary, text: expect.stringContaining(salt) });
    const list = await service.call('/conversations?limit=1');
    expect(list.body['conversations']).toMatchObject([{ conversation_id: 'c1', summary }]);
  });

  it('does not create one twice', async () => {
    await using service = await RunningService.start();
    await service.post('/conversations', { conversation_id: 'c1' });
    expect(await service.post('/conversations', { conversation_id: 'c1' })).toMatchObject({
      status: 409,
      body: { success: false, code: 'conversation_exists', retryable: false, conversation_id: 'c1' },
    });
  });

  it('gives messages page by page, the newest page first', async () => {
    await using service = await RunningService.start();
    for (const word of ['one', 'two', 'three']) {
      await service.post('/generate_response', { conversation_id: 'c1', user_input: word });
    }
    const first = await service.call('/conversations/c1/messages?limit=4');
    expect(first.body).toMatchObject({ success: true, conversation_id: 'c1', next_before: 3 });
    const second = await service.call('/conversations/c1/messages?limit=4&before=3');
    expect(second.body['next_before']).toBeNull();
    const messages = [...(second.body['messages'] as object[]), ...(first.body['messages'] as object[])];
    expect(messages).toMatchObject([
      { position: 1, role: 'user', content: 'one' },
      { position: 2, role: 'assistant', state: 'done', finish_reason: 'stop', model: 'tiny-chat' },
      { position: 3, content: 'two' },
      { position: 4 },
      { position: 5, content: 'three' },
      { position: 6 },
    ]);
  });

  it('deletes one with all that belongs to it, a running reply first', async () => {
    await using service = await RunningService.start();
    const { script, gate } = createGatedReply();
    service.ollama.next(script);
    const { body } = await service.post('/generate_response', {
      conversation_id: 'c1',
      user_input: 'hello',
      request_id: 'r1',
      background: true,
    });
    await gate.reached;
    const deleted = await service.call('/conversations/c1', { method: 'DELETE' });
    expect(deleted).toMatchObject({ status: 200, body: { success: true, conversation_id: 'c1' } });
    await service.ollama.ledger.until(({ running }) => running === 0);
    for (const path of ['/conversations/c1', '/conversations/c1/messages', `/replies/${String(body['message_id'])}`]) {
      expect((await service.call(path)).status).toBe(404);
    }
    expect((await service.call('/conversations/c1', { method: 'DELETE' })).status).toBe(404);
    const again = { conversation_id: 'c1', user_input: 'another', request_id: 'r1' };
    expect((await service.post('/generate_response', again)).status).toBe(200);
  });
});

describe('POST /replies/{message_id}/cancel', () => {
  it('ends a reply with its text kept, as often as it is called', async () => {
    await using service = await RunningService.start();
    service.ollama.next(createGatedReply().script);
    const { body } = await service.post('/generate_response', {
      conversation_id: 'c1',
      user_input: 'hello',
      background: true,
    });
    const { message_id } = body as { message_id: string };
    using events = await service.openEvents(`/replies/${message_id}/events`);
    await events.waitForEvent('llm_delta');
    for (let count = 0; count < 2; count++) {
      expect(await service.call(`/replies/${message_id}/cancel`, { method: 'POST' })).toMatchObject({
        status: 200,
        body: { success: true, message_id, conversation_id: 'c1', state: 'cancelled' },
      });
    }
    expect(await events.ended).toBe('ended');
    expect(events.events.at(-1)).toMatchObject({
      event: 'llm_response',
      data: { finish_reason: 'cancelled', response: 'one two' },
    });
  });

  it('leaves a reply that has ended as it is', async () => {
    await using service = await RunningService.start();
    const { status, body } = await service.call('/replies/msg_demo/cancel', { method: 'POST' });
    expect({ status, state: body['state'] }).toEqual({ status: 200, state: 'done' });
  });

  it('takes an empty body of any declared kind', async () => {
    await using service = await RunningService.start();
    const headers = { 'content-type': 'application/json' };
    expect((await service.call('/replies/msg_demo/cancel', { method: 'POST', headers })).status).toBe(200);
    expect((await service.call('/conversations/demo', { method: 'DELETE', headers })).status).toBe(200);
  });
});

describe('what the service says of itself', () => {
  it('lists the models that can be asked for', async () => {
    await using service = await RunningService.start({
      ollama: {
        models: [{ name: 'tiny-chat', capabilities: ['completion', 'embedding', 'insert'] }, { name: 'other' }],
      },
    });
    const { status, body } = await service.call('/models');
    expect(status).toBe(200);
    expect(body).toMatchObject({
      success: true,
      models: [{ name: expect.stringMatching(/^tiny-chat/), provider: 'ollama', loaded: false, context_window: 2048 }],
    });
  });

  it('is well', async () => {
    await using service = await RunningService.start();
    expect(await service.call('/health')).toMatchObject({
      status: 200,
      body: { success: true, status: 'ok', store: { status: 'up' }, backend: { status: 'up' }, running: 0 },
    });
    for (const path of ['/health/live', '/health/ready']) {
      expect(await service.call(path)).toMatchObject({ status: 200, body: { success: true } });
    }
  });

  it('is degraded without its backend, and says what to do', async () => {
    await using service = await RunningService.start();
    await service.ollama.kill();
    const { status, body } = await service.call('/health');
    expect(status).toBe(200);
    expect(body).toMatchObject({ status: 'degraded', backend: { status: 'down', hint: expect.any(String) } });
    expect((await service.call('/health/ready')).status).toBe(200);
    expect((await service.call('/models')).status).toBeLessThan(504);
  });
});
