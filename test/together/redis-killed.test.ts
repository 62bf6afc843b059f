import { describe, expect, it } from 'vitest';
import { hasRedisServer } from '../support/redis-server.ts';
import type { SocketClient } from '../support/socket-client.ts';
import { begin, checkWatch, framesOf, Instances, sayEach, toNumbers } from './instances.ts';

/** `npm run test:redis-faults` kills it ten times in a minute. */
const KILLS = Number(process.env['REDIS_KILLS'] ?? 2);
const REPLIES = 20;
/** Of each reply, between two kills. */
const WORDS_BETWEEN = 60;
const WORDS = WORDS_BETWEEN * (KILLS + 1);
const PACE_MS = KILLS > 2 ? 90 : 15;

describe.skipIf(!hasRedisServer)(`redis-server killed and restarted ${KILLS} times`, { timeout: 300_000 }, () => {
  it(`under ${REPLIES} running replies: none is lost, none doubled, all end; watchers hear of it`, async () => {
    await using instances = await Instances.start({ count: 3 });
    const { redis, ollama } = instances;
    const script = { steps: sayEach(toNumbers(WORDS)), paceMs: PACE_MS };
    ollama.next(...Array.from({ length: REPLIES }, () => script));
    const watches = await Promise.all(Array.from({ length: REPLIES }, (_, index) => watch(instances, index)));

    for (let kill = 1; kill <= KILLS; kill++) {
      const said = kill * WORDS_BETWEEN - WORDS_BETWEEN / 2;
      await Promise.all(watches.flatMap(({ clients }) => clients.map((client) => hears(client, said))));
      const watchers = watches.flatMap(({ clients }) =>
        clients.map((client) => ({ client, from: client.frames.length })),
      );
      await redis.kill();
      await Promise.all(watchers.map(({ client, from }) => isDegraded(client, from)));
      await redis.restart();
    }
    for (const { clients, messageId } of watches) {
      for (const client of clients) {
        await client.waitForEnd();
        expect(checkWatch(framesOf(client.frames, messageId))).toBe(toNumbers(WORDS).join(' '));
      }
    }
    expect(ollama.ledger.chats).toHaveLength(REPLIES);
    for (const [index, { messageId }] of watches.entries()) {
      const { body } = await instances.at(index + 2).call(`/conversations/c${index}/messages`);
      expect(body['messages']).toMatchObject([
        { role: 'user' },
        { message_id: messageId, content: toNumbers(WORDS).join(' ') },
      ]);
      const conversation = await instances.at(index).call(`/conversations/c${index}`);
      expect(conversation.body).toMatchObject({ active_reply: null });
    }
    expect(instances.all.flatMap(({ logLines }) => logLines).filter((line) => line.includes('unexpected'))).toEqual([]);
  });
});

interface Watch {
  readonly messageId: string;
  /** One at the instance that writes, one at another. */
  readonly clients: readonly [SocketClient, SocketClient];
}

const watch = async (instances: Instances, index: number): Promise<Watch> => {
  const here = await instances.at(index).connect();
  const there = await instances.at(index + 1).connect();
  const messageId = await begin(here, 'Count!', { conversation_id: `c${index}`, options: { max_tokens: 2 * WORDS } });
  there.send('llm_resume', { message_id: messageId, seq: 0 });
  return { messageId, clients: [here, there] };
};

const hears = (client: SocketClient, word: number): Promise<unknown> =>
  client.waitFor(({ data }) => isSaid(data['text'], word), `word ${word}`);

const isSaid = (text: unknown, word: number): boolean => Number(String(text).split(' ').at(-1)) >= word;

const isDegraded = (client: SocketClient, from: number): Promise<unknown> =>
  client.waitFor(({ data }, index) => index >= from && data['state'] === 'degraded', 'degraded');
