import { describe, expect, it } from 'vitest';
import { hasRedisServer, type RedisServer } from '../support/redis-server.ts';
import { createGate } from '../support/scripted-ollama/scripted-ollama.ts';
import { isEnd } from '../support/socket-client.ts';
import { begin, checkWatch, framesOf, Instances } from './instances.ts';

describe.skipIf(!hasRedisServer)('Redis whose memory is full in the middle of a reply (AT-15)', () => {
  it('ends it as storage_full with what was shown; nothing else is touched, and it works again when there is room', async () => {
    await using instances = await Instances.start({ redis: ['--maxmemory-policy', 'noeviction'] });
    const { redis, ollama } = instances;
    const here = await instances.at(0).connect();
    const there = await instances.at(1).connect();
    await here.request('Count!', { conversation_id: 'before' });
    const others = await readAll(redis);
    const gate = createGate();
    ollama.next([{ say: 'one two' }, { waitFor: gate }, { say: ' three' }, { hang: true }]);
    const messageId = await begin(here, 'Count!', { request_id: 'r1' });
    there.send('llm_resume', { message_id: messageId, seq: 0 });
    await there.waitFor(({ data }) => data['text'] === 'one two');

    await redis.admin.config('SET', 'maxmemory', '1mb');
    gate.open();
    for (const client of [here, there]) {
      await client.waitFor((frame) => isEnd(frame) && frame.data['message_id'] === messageId);
      const frames = framesOf(client.frames, messageId);
      expect(checkWatch(frames)).toBe('one two');
      expect(frames.find(isEnd)?.data).toMatchObject({ code: 'storage_full', retryable: true, seq: 2 });
    }
    const refused = await instances.at(1).post('/generate_response', { conversation_id: 'c2', user_input: 'And I?' });
    expect(refused).toMatchObject({ status: 503, body: { code: 'storage_full' } });
    expect((await here.request('And now?', { request_id: 'r2' })).data).toMatchObject({ code: 'storage_full' });
    expect(ollama.ledger.chats).toHaveLength(2);
    const { body } = await instances.at(1).call('/conversations/c1/messages');
    expect(body['messages']).toMatchObject([{ role: 'user' }, { content: 'one two', error: { code: 'storage_full' } }]);
    expect(await readAll(redis)).toMatchObject(others);

    await redis.admin.config('SET', 'maxmemory', '0');
    for (const client of [here, there]) {
      const from = client.frames.length;
      client.ask('And now?', { request_id: 'r2' });
      expect((await client.waitForEnd(from)).data).toMatchObject({ success: true });
    }
  });
});

/** Every conversation's own keys as Redis would dump them; the lists of the caller change by the minute. */
const readAll = async ({ admin }: RedisServer): Promise<Readonly<Record<string, string | undefined>>> => {
  const keys = (await admin.keys('chat:{s??}:*')).filter((key) => !key.endsWith(':leases'));
  return Object.fromEntries(
    await Promise.all(keys.map(async (key) => [key, (await admin.dumpBuffer(key))?.toString('hex')] as const)),
  );
};
