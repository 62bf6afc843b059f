import { describe, expect, it } from 'vitest';
import { createGatedReply } from '../../support/gated-reply.ts';
import { RunningService } from '../../support/running-service.ts';
import { isEnd } from '../../support/socket-client.ts';

const startReply = async (service: RunningService) => {
  const { script, gate } = createGatedReply();
  service.ollama.next(script);
  const client = await service.connect();
  client.ask('hello', { request_id: 'r1' });
  await gate.reached;
  await client.waitForEvent('llm_delta');
  const { data } = await client.waitForEvent('llm_accepted');
  return { client, message_id: String(data['message_id']) };
};

describe('llm_cancel', () => {
  it('ends a reply within 500 ms, with its text and usage, and says when the host is free', async () => {
    await using service = await RunningService.start();
    const { client, message_id } = await startReply(service);
    const startedAt = performance.now();
    client.send('llm_cancel', { message_id });
    const { event, data } = await client.waitForEnd();
    expect(performance.now() - startedAt).toBeLessThan(500);
    expect(event).toBe('llm_response');
    expect(data).toMatchObject({
      success: true,
      finish_reason: 'cancelled',
      response: 'one two',
      seq: 2,
      usage: { completion_tokens: 1, source: 'estimated' },
    });
    const released = await client.waitFor(({ data: { state } }) => state === 'released');
    expect(released.data).toMatchObject({ message_id, stopped_ms: expect.any(Number) });
    expect(client.frames.indexOf(released)).toBeGreaterThan(client.frames.findIndex(isEnd));
    await service.ollama.ledger.until(({ chats }) => chats.every(({ abortedByClient }) => abortedByClient));
    const { body } = await service.call('/conversations/c1/messages');
    expect(body['messages']).toMatchObject([{}, { state: 'cancelled', content: 'one two', usage: {} }]);
  });

  it('right behind its request finds it by request_id', async () => {
    await using service = await RunningService.start();
    const client = await service.connect();
    service.ollama.next(createGatedReply().script);
    client.ask('hello', { request_id: 'r1' });
    client.send('llm_cancel', { conversation_id: 'c1', request_id: 'r1' });
    const { data } = await client.waitForEnd();
    expect(data).toMatchObject({ finish_reason: 'cancelled', request_id: 'r1' });
    await client.settle();
    expect(client.frames.filter(isEnd)).toHaveLength(1);
  });

  it('from a socket that does not watch tells it of the end alone', async () => {
    await using service = await RunningService.start();
    const { client, message_id } = await startReply(service);
    const other = await service.connect();
    other.send('llm_cancel', { message_id });
    const ends = [await client.waitForEnd(), await other.waitForEnd()];
    expect(ends[1]?.text).toBe(ends[0]?.text);
    expect(other.frames.some(({ event }) => event === 'llm_delta')).toBe(false);
  });

  it('twice is as good as once', async () => {
    await using service = await RunningService.start();
    const { client, message_id } = await startReply(service);
    client.send('llm_cancel', { message_id });
    client.send('llm_cancel', { conversation_id: 'c1', request_id: 'r1' });
    await client.waitFor(({ data: { state } }) => state === 'released');
    client.send('llm_cancel', { message_id });
    await client.settle();
    await client.settle();
    expect(client.frames.filter(isEnd)).toHaveLength(1);
  });

  it('of a reply that has ended tells how it ended to who has not heard it', async () => {
    await using service = await RunningService.start();
    const client = await service.connect();
    const { data } = await client.request('[[say:done]]');
    const other = await service.connect();
    other.send('llm_cancel', { message_id: data['message_id'] });
    expect((await other.waitForEnd()).data).toMatchObject({ finish_reason: 'stop', response: 'done' });
    client.send('llm_cancel', { message_id: data['message_id'] });
    await client.settle();
    expect(client.frames.filter(isEnd)).toHaveLength(1);
  });

  it.each([[{ message_id: 'msg_none' }], [{ conversation_id: 'c1', request_id: 'none' }]])(
    'of what is not there is not found, and is not taken for the end of a request: %j',
    async (reference) => {
      await using service = await RunningService.start();
      const client = await service.connect();
      client.send('llm_cancel', reference);
      const { data } = await client.waitForEnd();
      expect(data).toMatchObject({ code: 'not_found', retryable: false });
      expect(data).not.toHaveProperty('request_id');
    },
  );
});
