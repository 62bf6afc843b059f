import { describe, expect, it } from 'vitest';
import { createGatedReply } from '../support/gated-reply.ts';
import { hasRedisServer } from '../support/redis-server.ts';
import { begin, checkWatch, framesOf, Instances } from './instances.ts';

const PATIENCE_MS = 2_000;

describe.skipIf(!hasRedisServer)('Redis that no instance reaches (AT-14)', () => {
  for (const how of ['is gone', 'says nothing'] as const) {
    it(`${how}: all that is asked is refused in time, nothing is begun; it works again without a restart`, async () => {
      await using instances = await Instances.start();
      const { redis, ollama } = instances;
      const client = await instances.at(0).connect();
      const before = await client.request('Count!', { conversation_id: 'before' });
      const chats = ollama.ledger.chats.length;
      if (how === 'is gone') await redis.kill();
      else redis.pause();

      const there = instances.at(1);
      const messageId = String(before.data['message_id']);
      await Promise.all([
        inTime(async () => {
          const refused = await client.request('And now?', { conversation_id: 'c1', request_id: 'r1' });
          expect(refused.data).toMatchObject({ code: 'storage_unavailable', retryable: true, request_id: 'r1' });
          expect(refused.data).not.toHaveProperty('message_id');
        }),
        inTime(async () => {
          const other = await instances.at(1).connect();
          other.send('llm_resume', { message_id: messageId, seq: 0 });
          expect((await other.waitForEnd()).data).toMatchObject({ code: 'storage_unavailable' });
        }),
        ...[
          there.post('/generate_response', { conversation_id: 'c2', user_input: 'And I?' }),
          there.call(`/replies/${messageId}`),
          there.call(`/replies/${messageId}/events`),
          there.post(`/replies/${messageId}/cancel`, undefined),
          there.call('/conversations'),
          there.call('/conversations/before'),
          there.post('/conversations', { conversation_id: 'new' }),
          there.call('/conversations/before', { method: 'DELETE' }),
        ].map((asked) =>
          inTime(async () => {
            const answer = await asked;
            expect(answer).toMatchObject({ status: 503, body: { success: false, code: 'storage_unavailable' } });
          }),
        ),
        inTime(async () => expect((await there.call('/health/ready')).status).toBe(503)),
        inTime(async () => expect((await there.call('/health/live')).status).toBe(200)),
        inTime(async () =>
          expect((await there.call('/health')).body).toMatchObject({
            status: 'unavailable',
            store: { status: 'down' },
          }),
        ),
      ]);
      expect(ollama.ledger.chats).toHaveLength(chats);

      if (how === 'is gone') await redis.restart();
      else redis.resume();
      for (const instance of instances.all) {
        await expect.poll(async () => (await instance.call('/health/ready')).status, { timeout: 5_000 }).toBe(200);
      }
      // The same socket, and what was refused under the same id.
      const again = await client.request('And now?', { conversation_id: 'c1', request_id: 'r1' });
      expect(again.data).toMatchObject({ success: true, request_id: 'r1' });
      const { body } = await there.call('/conversations/before/messages');
      expect(body['messages']).toHaveLength(2);
    });
  }

  it('is told to all who watch a reply that runs, which goes on where it was', async () => {
    await using instances = await Instances.start();
    const { script, gate } = createGatedReply();
    instances.ollama.next(script);
    const here = await instances.at(0).connect();
    const there = await instances.at(1).connect();
    const messageId = await begin(here, 'Count!');
    there.send('llm_resume', { message_id: messageId, seq: 0 });
    await there.waitForEvent('llm_delta');
    await instances.redis.kill();
    gate.open();
    for (const client of [here, there]) await client.waitFor(({ data }) => data['state'] === 'degraded', 'degraded');
    await instances.redis.restart();
    for (const client of [here, there]) {
      await client.waitForEnd();
      expect(checkWatch(framesOf(client.frames, messageId))).toBe('one two three');
    }
  });
});

const inTime = async (work: () => Promise<unknown>): Promise<void> => {
  const startedAt = performance.now();
  await work();
  expect(performance.now() - startedAt).toBeLessThan(PATIENCE_MS);
};
