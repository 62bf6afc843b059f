import { describe, expect, it, vi } from 'vitest';
import { StorageUnavailableError } from '../../src/errors.ts';
import type { Append, AppendAnswer, ChatStore } from '../../src/stores/chat-store.ts';
import { openRedisStore } from '../../src/stores/redis/open-redis-store.ts';
import { systemClock, systemIds } from '../../src/system.ts';
import {
  addTurn,
  beginReply,
  key,
  readAll,
  readWindow,
  type RunningReply,
  type StoreUnderTest,
  toAppend,
  toBegin,
  toClosing,
  toFinish,
} from '../contract/chat-store/fixtures.ts';
import { DURABLE, hasRedisServer, startRedisCluster, startRedisServer } from '../support/redis-server.ts';

/** How long a caller waits for an answer at most, whatever has happened to Redis. */
const PATIENCE_MS = 2_000;

const TIMEOUT_MS = 60_000;

describe.skipIf(!hasRedisServer)('Redis that fails', { timeout: TIMEOUT_MS }, () => {
  it('is killed and restarted in the middle of appends: nothing acknowledged is lost, nothing is doubled', async () => {
    await using server = await startRedisServer(...DURABLE);
    await using harness = await openStore(server.url);
    const replies = await Promise.all(
      Array.from({ length: 8 }, (_, index) => beginReply(harness, { conversationId: `room ${index}` })),
    );
    const writers = replies.map((reply) => new Writer(harness.store, reply));
    const writing = Promise.all(writers.map((writer) => writer.run()));

    for (let round = 1; round <= 3; round++) {
      await until(() => writers.every((writer) => writer.acknowledged >= round * 100));
      await server.kill();
      await server.restart();
    }
    await until(() => writers.every((writer) => writer.acknowledged >= 400));
    for (const writer of writers) writer.stop();
    await writing;

    for (const writer of writers) {
      const log = await readAll(harness.store, writer.reply);
      const texts = log.map(({ event }) => ('text' in event ? event.text : ''));
      expect(texts).toStrictEqual(Array.from({ length: writer.acknowledged }, (_, index) => `${index + 1} `));
      expect(await harness.store.finish(toFinish(writer.reply, { seq: log.length + 1, content: 'x' }))).toStrictEqual({
        type: 'ok',
      });
    }
    expect(writers.some((writer) => writer.failures > 0)).toBe(true);
  });

  it('is away: every request fails within two seconds, and works again when it is back, without a restart', async () => {
    await using server = await startRedisServer(...DURABLE);
    await using harness = await openStore(server.url);
    const reply = await beginReply(harness);
    await server.kill();
    await expectUnavailable(harness, reply);
    await server.restart();
    await untilBack(harness.store);
    expect(await harness.store.append([toAppend(reply, 1, 'a')])).toStrictEqual([{ type: 'ok' }]);
  });

  it('is silent: every request fails within two seconds, and works again when it speaks', async () => {
    await using server = await startRedisServer(...DURABLE);
    await using harness = await openStore(server.url);
    const reply = await beginReply(harness);
    server.pause();
    await expectUnavailable(harness, reply);
    server.resume();
    await untilBack(harness.store);
    // What was asked while it was silent may have been done: asking again is safe.
    const [answer] = await harness.store.append([toAppend(reply, 1, 'a')]);
    expect(['ok', 'duplicate', 'closed']).toContain(answer?.type);
  });

  it('loses the answer of a begin: the same call again gets the token', async () => {
    await using server = await startRedisServer(...DURABLE);
    await using harness = await openStore(server.url);
    await addTurn(harness, 'Yes.');
    const { conversation } = await harness.store.open(key, 'r');
    const begin = toBegin(harness, { expectedVersion: conversation?.version ?? 0 });
    server.pause();
    await expect(harness.store.begin(begin)).rejects.toThrow(StorageUnavailableError);
    server.resume();
    await untilBack(harness.store);

    const again = await harness.store.begin(begin);

    expect(again).toMatchObject({ type: 'begun' });
    const token = again.type === 'begun' ? again.token : '';
    expect(await harness.store.append([toAppend({ ...begin, token }, 1, 'a')])).toStrictEqual([{ type: 'ok' }]);
    expect(await readWindow(harness.store)).toHaveLength(3);
  });

  it('forgets its scripts: they are sent anew', async () => {
    await using server = await startRedisServer();
    await using harness = await openStore(server.url);
    await addTurn(harness, 'Yes.');
    await server.admin.script('FLUSH');
    expect((await addTurn(harness, 'Still.')).token).toBeTypeOf('string');
  });

  it('loses the connection of the nudges: watchers are nudged when there is a new one, and hear again', async () => {
    await using server = await startRedisServer();
    await using harness = await openStore(server.url);
    const reply = await beginReply(harness);
    const onNudge = vi.fn<() => void>();
    using _watch = harness.store.watch(reply.messageId, onNudge);
    await vi.waitFor(() => expect(onNudge).toHaveBeenCalled());
    onNudge.mockClear();

    await server.admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await vi.waitFor(() => expect(onNudge).toHaveBeenCalled(), { timeout: 5_000 });
    onNudge.mockClear();
    await harness.store.append([toAppend(reply, 1, 'a')]);
    await vi.waitFor(() => expect(onNudge).toHaveBeenCalled());
  });

  it('hears of watched replies only', async () => {
    await using server = await startRedisServer();
    await using harness = await openStore(server.url);
    const reply = await beginReply(harness);
    const loadChannels = async (): Promise<unknown> => server.admin.pubsub('CHANNELS');
    expect(await loadChannels()).toStrictEqual([]);
    const [first, second] = [1, 2].map(() => harness.store.watch(reply.messageId, () => undefined));
    await vi.waitFor(async () => expect(await loadChannels()).toStrictEqual([`chat:nudge:${reply.messageId}`]));
    first?.[Symbol.dispose]();
    await harness.store.ping();
    expect(await loadChannels()).toHaveLength(1);
    second?.[Symbol.dispose]();
    await vi.waitFor(async () => expect(await loadChannels()).toStrictEqual([]));
  });

  it('is a Cluster one of whose masters is killed: requests fail in time, and work again when it is back', async () => {
    await using cluster = await startRedisCluster(...DURABLE);
    await using harness = await openStore(cluster.url);
    const replies = await Promise.all(
      Array.from({ length: 12 }, (_, index) => beginReply(harness, { conversationId: `room ${index}` })),
    );
    await cluster.nodes[0]?.kill();

    const startedAt = performance.now();
    const appends = replies.map((reply) => harness.store.append([toAppend(reply, 1, 'a')]));
    const results = await Promise.allSettled(appends);
    expect(performance.now() - startedAt).toBeLessThan(PATIENCE_MS);
    const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
    expect(failures.length).toBeGreaterThan(0);
    for (const failure of failures) expect(failure).toBeInstanceOf(StorageUnavailableError);

    await cluster.nodes[0]?.restart();
    await vi.waitFor(
      async () => {
        const answers = await harness.store.append(replies.map((reply) => toAppend(reply, 1, 'a')));
        for (const { type } of answers) expect(['ok', 'duplicate']).toContain(type);
      },
      { timeout: 20_000 },
    );
    for (const reply of replies) expect(await readAll(harness.store, reply)).toHaveLength(1);
  });
});

interface OpenStore extends StoreUnderTest, AsyncDisposable {}

/** A store in true time. */
const openStore = async (url: string): Promise<OpenStore> => {
  const { store } = await openRedisStore({ url, clock: systemClock, ids: systemIds });
  return {
    store,
    instance: 'first',
    now: () => systemClock.now(),
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
};

/** Appends one delta after the other, each until it is acknowledged. */
class Writer {
  readonly reply: RunningReply;
  readonly #store: ChatStore;
  #isStopped = false;
  acknowledged = 0;
  failures = 0;

  constructor(store: ChatStore, reply: RunningReply) {
    this.#store = store;
    this.reply = reply;
  }

  async run(): Promise<void> {
    while (!this.#isStopped) {
      const seq = this.acknowledged + 1;
      const answer = await this.#tryAppend(toAppend(this.reply, seq, `${seq} `));
      if (answer === undefined) this.failures += 1;
      else if (answer.type === 'ok' || answer.type === 'duplicate') this.acknowledged = seq;
      else throw new Error(`An append was answered with ${JSON.stringify(answer)}.`);
    }
  }

  stop(): void {
    this.#isStopped = true;
  }

  async #tryAppend(append: Append): Promise<AppendAnswer | undefined> {
    try {
      return (await this.#store.append([append]))[0];
    } catch (error) {
      if (!(error instanceof StorageUnavailableError)) throw error;
      await new Promise((resolve) => void setImmediate(resolve));
      return undefined;
    }
  }
}

const until = async (isSo: () => boolean): Promise<void> => {
  await vi.waitFor(() => expect(isSo()).toBe(true), { timeout: 20_000, interval: 5 });
};

const untilBack = async (store: ChatStore): Promise<void> => {
  await vi.waitFor(() => store.ping(), { timeout: 10_000, interval: 5 });
};

const expectUnavailable = async ({ store, ...rest }: StoreUnderTest, reply: RunningReply): Promise<void> => {
  const requests: Record<string, () => Promise<unknown>> = {
    ping: () => store.ping(),
    open: () => store.open(key, 'r'),
    begin: () => store.begin(toBegin({ store, ...rest })),
    append: () => store.append([toAppend(reply, 1, 'a')]),
    finish: () => store.finish(toFinish(reply, { seq: 2, content: 'a' })),
    cancel: () => store.cancel(toClosing(reply)),
    renew: () => store.renew([reply]),
    readLog: () => store.readLog(reply.messageId, 0, 10),
    list: () => store.listConversations('ada', { limit: 10 }),
  };
  const startedAt = performance.now();
  const results = await Promise.allSettled(Object.values(requests).map((request) => request()));
  expect(performance.now() - startedAt).toBeLessThan(PATIENCE_MS);
  for (const result of results) {
    expect(result).toMatchObject({ status: 'rejected', reason: expect.any(StorageUnavailableError) });
  }
};
