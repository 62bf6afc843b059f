import { describe, expect, it } from 'vitest';
import { hasRedisServer, type RedisServer } from '../support/redis-server.ts';
import { createGatedReply } from '../support/gated-reply.ts';
import { begin, Instances } from './instances.ts';

const TIMES = 50;
const SECOND = 1_000;

describe.skipIf(!hasRedisServer)('the same request many times at once, over instances and wires (AT-20)', () => {
  it('is one reply, one question, one backend call and one charge', async () => {
    await using instances = await Instances.start({
      count: 3,
      settings: { LLM_RATE_LIMIT: '1', LLM_MAX_CONCURRENT: '1' },
    });
    const { script, gate } = createGatedReply();
    instances.ollama.next(script);
    const clients = await Promise.all(Array.from({ length: 3 }, (_, index) => instances.at(index).connect()));
    const ask = async (index: number): Promise<unknown> => {
      const request = { conversation_id: 'c1', request_id: 'r1' };
      if (index % 2 === 0) {
        const client = await instances.at(index).connect();
        return begin(client, 'Count!', request);
      }
      const body = { ...request, user_input: 'Count!', background: true };
      return (await instances.at(index).post('/generate_response', body)).body['message_id'];
    };
    const ids = await Promise.all(Array.from({ length: TIMES }, (_, index) => ask(index)));
    expect(ids[0]).toEqual(expect.any(String));
    expect(ids).toStrictEqual(Array(TIMES).fill(ids[0]));

    gate.open();
    for (const client of clients) {
      client.send('llm_resume', { message_id: ids[0], seq: 0 });
      expect((await client.waitForEnd()).data).toMatchObject({ response: 'one two three' });
    }
    const { body } = await instances.at(1).call('/conversations/c1/messages');
    expect(body['messages']).toMatchObject([{ role: 'user' }, { role: 'assistant', message_id: ids[0] }]);
    expect(instances.ollama.ledger.chats).toHaveLength(1);

    // The minute has no room left, and a repeat needs none.
    const another = { conversation_id: 'c2', user_input: 'And I?' };
    expect(await instances.at(2).post('/generate_response', another)).toMatchObject({ status: 429 });
    expect(await ask(1)).toBe(ids[0]);
    expect(await ask(2)).toBe(ids[0]);
  });
});

describe.skipIf(!hasRedisServer)('the limits of a caller', () => {
  it('count the requests of every sliding minute on all instances', async () => {
    await using instances = await Instances.start({ count: 3, settings: { LLM_RATE_LIMIT: '3' } });
    let asked = 0;
    const ask = async () =>
      instances.at(asked).post('/generate_response', { conversation_id: `c${(asked += 1)}`, user_input: 'Count!' });
    expect((await ask()).status).toBe(200);
    await passTime(instances.redis, 40 * SECOND);
    expect((await ask()).status).toBe(200);
    expect((await ask()).status).toBe(200);
    for (let index = 0; index < 3; index++) {
      const refused = await ask();
      expect(refused).toMatchObject({ status: 429, body: { code: 'rate_limited', limit: 3, remaining: 0 } });
      const waitMs = Number(refused.body['retry_after_ms']);
      expect(waitMs).toBeGreaterThan(0);
      expect(waitMs).toBeLessThanOrEqual(20 * SECOND);
    }
    await passTime(instances.redis, 20 * SECOND); // only the first has left the minute
    expect((await ask()).status).toBe(200);
    expect((await ask()).status).toBe(429);
    expect(instances.ollama.ledger.chats).toHaveLength(4);
  });

  it('count the replies that run on all instances', async () => {
    await using instances = await Instances.start({ count: 3, settings: { LLM_MAX_CONCURRENT: '2' } });
    const { script, gate } = createGatedReply();
    instances.ollama.next(script, script);
    const clients = await Promise.all([0, 1, 2].map((index) => instances.at(index).connect()));
    const [first, second, third] = clients;
    await begin(first!, 'One', { conversation_id: 'c1' }); // there are three
    const messageId = await begin(second!, 'Two', { conversation_id: 'c2' });
    const refused = await third!.request('Three', { conversation_id: 'c3' });
    expect(refused.data).toMatchObject({ code: 'rate_limited', limit: 2, retryable: true });
    third!.send('llm_cancel', { message_id: messageId });
    await second!.waitForEnd();
    await instances.ollama.ledger.until(({ running }) => running === 1);
    expect((await third!.request('Three', { conversation_id: 'c3', request_id: 'again' })).data).toMatchObject({
      success: true,
    });
    gate.open();
    await first!.waitForEnd();
  });
});

/** Moves all that callers have asked for into the past: then time has passed. */
const passTime = async ({ admin }: RedisServer, ms: number): Promise<void> => {
  for (const key of await admin.keys('chat:*:charges')) {
    for (const member of await admin.zrange(key, '0', '-1')) await admin.zincrby(key, -ms, member);
  }
};
