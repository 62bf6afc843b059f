import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { StorageFullError, StorageUnavailableError } from '../../src/errors.ts';
import { DEFAULT_RETENTION, LEASE_MS } from '../../src/stores/chat-store.ts';
import { openRedisStore, SCHEMA_VERSION } from '../../src/stores/redis/open-redis-store.ts';
import { systemIds } from '../../src/system.ts';
import { addTurn, beginReply, key, readAll, toAppend, toClosing, toFinish } from '../contract/chat-store/fixtures.ts';
import { openRedisHarness, type RedisHarness } from '../support/redis-harness.ts';
import { recordCommands } from '../support/redis-monitor.ts';
import { DURABLE, hasRedisServer, type RedisServer, startRedisServer } from '../support/redis-server.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

const allowance = { requestsPerMinute: 10, maxConcurrent: 2 };

describe.skipIf(!hasRedisServer)('the chat store in Redis', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedisServer();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const open = (): Promise<RedisHarness> => openRedisHarness({ url: server.url, admins: [server.admin] });
  const openAgain = (clock = new VirtualClock()): ReturnType<typeof openRedisStore> =>
    openRedisStore({ url: server.url, clock, ids: systemIds });

  describe('keys', () => {
    it('expire with their conversation, all at the same instant, when no reply runs', async () => {
      await using harness = await open();
      await harness.limits.charge({ owner: key.owner, request: 'r' }, allowance);
      await addTurn(harness, 'Yes.');
      const ends = await loadExpiries(server);

      const end = harness.now() + DEFAULT_RETENTION.conversationMs;
      const { schema, ...expiring } = Object.fromEntries(ends.map(([name, at]) => [toKind(name), at]));
      expect(schema).toBe(-1);
      expect(expiring).toStrictEqual({
        conversation: end,
        messages: end,
        window: end,
        replies: end,
        requests: end,
        ages: end,
        conversations: end,
        log: harness.now() + DEFAULT_RETENTION.logMs,
        charges: harness.now() + 60_000,
        running: harness.now() + 4_000,
      });
    });

    it('of a conversation whose reply runs do not expire, nor does what finds the reply', async () => {
      await using harness = await open();
      await addTurn(harness, 'Yes.');
      const reply = await beginReply(harness);
      await harness.store.append([toAppend(reply, 1, 'a')]);
      const lasting = (await loadExpiries(server)).filter(([, at]) => at === -1).map(([name]) => toKind(name));
      expect(lasting.toSorted()).toStrictEqual([
        'ages',
        'conversation',
        'leases',
        'log',
        'messages',
        'replies',
        'requests',
        'running',
        'schema',
        'window',
      ]);
    });

    it('have a shard or a digest in their braces, and no word of a client anywhere', async () => {
      await using harness = await open();
      const of = { owner: 'owner {s01}', conversationId: '}{s02}{', requestId: '{s03}' };
      await harness.limits.charge({ owner: of.owner, request: of.requestId }, allowance);
      await addTurn(harness, 'Yes.', of);
      const names = (await server.admin.keys('*')).filter((name) => name !== 'chat:schema');
      for (const name of names) expect(name).toMatch(/^chat:\{(s\d\d|[\w-]{22})\}:[\w:-]+$/);
      const tags = names.filter((name) => name.includes('{s')).map((name) => name.slice(0, 10));
      expect(new Set(tags).size).toBe(1); // what changes together lies together
    });

    it('are all gone with their conversation', async () => {
      await using harness = await open();
      await addTurn(harness, 'Yes.');
      const reply = await beginReply(harness);
      await harness.store.append([toAppend(reply, 1, 'a')]);
      await harness.store.deleteConversation(key);
      expect(await server.admin.keys('*')).toStrictEqual(['chat:schema']);
    });

    it('that remember request ids hold no more than a day’s', async () => {
      await using harness = await open();
      for (let day = 0; day < 5; day++) {
        await addTurn(harness, 'Yes.');
        await harness.advance(DEFAULT_RETENTION.requestMs);
      }
      await addTurn(harness, 'Yes.');
      const names = await server.admin.keys('*:requests');
      expect(await server.admin.hlen(names[0] ?? '')).toBe(1);
    });
  });

  describe('commands', () => {
    it('of a short reply are five', async () => {
      await using harness = await open();
      await addTurn(harness, 'Yes.');
      await using commands = await recordCommands(server);
      const request = { owner: key.owner, request: 'r' };

      const opened = await harness.store.open(key, 'r');
      await harness.limits.charge(request, allowance);
      const reply = await beginReply({ ...harness, store: withOpened(harness, opened) });
      await harness.store.finish(toFinish(reply, { seq: 1, content: 'Yes.' }));
      await harness.limits.release(request);

      expect(await commands.readCalls()).toHaveLength(5);
    });

    it('for many replies are one', async () => {
      await using harness = await open();
      const rooms = Array.from({ length: 20 }, (_, index) => `room ${index}`);
      const replies = await Promise.all(rooms.map((conversationId) => beginReply(harness, { conversationId })));
      await using commands = await recordCommands(server);
      await harness.store.append(replies.map((reply) => toAppend(reply, 1, 'a')));
      await harness.store.renew(replies);
      await harness.store.findAbandoned(10);
      await harness.limits.renew(rooms.map((room) => ({ owner: room, request: 'r' })));
      expect(await commands.readCalls()).toHaveLength(4);
    });

    it('do as much in a long conversation as in a short one', async () => {
      await using harness = await open();
      const countSteps = async (): Promise<number> => {
        await using commands = await recordCommands(server);
        await addKeptTurn(harness);
        return (await commands.readAll()).length;
      };
      for (let turn = 0; turn < 10; turn++) await addKeptTurn(harness);
      const early = await countSteps();
      for (let turn = 0; turn < 500; turn++) await addKeptTurn(harness);
      expect(await countSteps()).toBe(early);
      expect((await harness.store.open(key, 'r')).window).toHaveLength(6);
    });

    it('for a page of conversations are two, however many there are', async () => {
      await using harness = await open();
      for (let room = 0; room < 30; room++) {
        await harness.store.createConversation({ ...key, conversationId: `room ${room}` });
      }
      await using commands = await recordCommands(server);
      await harness.store.listConversations('ada', { limit: 10 });
      expect(await commands.readCalls()).toHaveLength(2);
    });
  });

  describe('when memory is out', () => {
    it('nothing begins and nothing is appended, but replies end and everything can be read and deleted', async () => {
      await using harness = await open();
      const finished = await beginReply(harness);
      const cancelled = await beginReply(harness, { conversationId: 'garden' });
      await harness.store.append([toAppend(finished, 1, 'Half'), toAppend(cancelled, 1, 'Half')]);
      await using _full = await fillMemory(server);

      await expect(harness.store.append([toAppend(finished, 2, ' a')])).rejects.toThrow(StorageFullError);
      await expect(beginReply(harness, { conversationId: 'attic' })).rejects.toThrow(StorageFullError);
      await expect(harness.store.createConversation({ ...key, conversationId: 'attic' })).rejects.toThrow(
        StorageFullError,
      );
      expect(await harness.store.renew([finished])).toStrictEqual([{ type: 'ok' }]);
      expect(await harness.store.finish(toFinish(finished, { seq: 2, content: 'Half' }))).toStrictEqual({ type: 'ok' });
      expect(await harness.store.cancel(toClosing(cancelled))).toMatchObject({ entry: { event: { text: 'Half' } } });
      expect(await readAll(harness.store, finished)).toHaveLength(2);
      expect((await harness.store.listConversations('ada', { limit: 10 })).conversations).toHaveLength(2);
      expect(await harness.store.deleteConversation(key)).toStrictEqual({ type: 'deleted' });
      await harness.limits.release({ owner: 'ada', request: 'r' });
    });
  });

  describe('time', () => {
    it('is the server’s: an instance whose clock is wrong takes nobody for dead', async () => {
      await using harness = await open();
      await server.admin.flushall();
      const early = new VirtualClock();
      const late = new VirtualClock();
      await late.jump(3_600_000);
      const [first, second] = [await openAgain(early), await openAgain(late)];
      await using _first = first.store;
      await using _second = second.store;
      const reply = await beginReply({ ...harness, store: first.store });
      await late.jump(LEASE_MS); // the connection is old enough
      expect(await second.store.findAbandoned(10)).toStrictEqual([]);
      expect(await second.store.seal(toClosing(reply))).toStrictEqual({ type: 'live' });
    });

    it('begins anew after a reconnection: nobody is taken for dead within one lease of it', async () => {
      await using harness = await open();
      const reply = await beginReply(harness);
      await harness.advance(LEASE_MS);
      await reconnect(server, harness);

      expect(await harness.store.findAbandoned(10)).toStrictEqual([]);
      expect(await harness.store.seal(toClosing(reply))).toStrictEqual({ type: 'live' });
      await harness.advance(LEASE_MS - 1);
      expect(await harness.store.findAbandoned(10)).toStrictEqual([]);
      await harness.advance(1);
      expect(await harness.store.findAbandoned(10)).toMatchObject([{ messageId: reply.messageId }]);
      expect(await harness.store.seal(toClosing(reply))).toMatchObject({ type: 'ok' });
    });

    it('mends a hint of the lease index that is not so', async () => {
      await using harness = await open();
      const reply = await beginReply(harness);
      const [leases = ''] = await server.admin.keys('*:leases');
      await server.admin.zadd(leases, 1, reply.messageId, 2, `${reply.messageId}x`);
      expect(await harness.store.findAbandoned(10)).toStrictEqual([]);
      expect(await server.admin.zrange(leases, 0, '-1', 'WITHSCORES')).toStrictEqual([
        reply.messageId,
        String(harness.now() + LEASE_MS),
      ]);
    });
  });

  describe('opening', () => {
    it('refuses what a newer build has written, by name', async () => {
      await server.admin.set('chat:schema', 99);
      const opening = openAgain();
      await expect(opening).rejects.toThrow(StorageUnavailableError);
      await expect(opening).rejects.toThrow(
        `Redis at 127.0.0.1:${server.port} has schema version 99, and this build knows versions up to ${SCHEMA_VERSION}.`,
      );
      await server.admin.flushall();
    });

    it('takes over what an older build has written, replies that run too, and keeps that build out', async () => {
      await using harness = await open();
      const { messageId } = await addTurn(harness, 'Yes.');
      const running = await beginReply(harness);
      await toFirstVersion(server);

      await using store = (await openAgain()).store;

      expect(await server.admin.get('chat:schema')).toBe(String(SCHEMA_VERSION));
      const conversation = { messageCount: 3, replaced: [], summaries: [], activeReply: running.messageId };
      expect(await store.loadConversation(key)).toMatchObject(conversation);
      expect(await store.loadReply(messageId)).toMatchObject({ state: 'done', promptTokens: 0, instance: 'first' });
      expect(await store.loadReply(running.messageId)).toMatchObject({ state: 'running', promptTokens: 0 });
      expect(await harness.store.cancel(toClosing(running))).toMatchObject({ type: 'ok' });
      expect(await store.loadReply(running.messageId)).toMatchObject({ state: 'cancelled', promptTokens: 0 });
      expect((await store.open(key, 'none')).window).toHaveLength(2);
    });

    it('says where nobody answers, and no password', async () => {
      const url = 'redis://user:secret@127.0.0.1:1';
      const opening = openRedisStore({ url, clock: new VirtualClock(), ids: systemIds });
      await expect(opening).rejects.toThrow(StorageUnavailableError);
      await expect(opening).rejects.toThrow('Redis at 127.0.0.1:1 does not let us in (ECONNREFUSED).');
      await expect(opening).rejects.not.toThrow('secret');
    });

    it('says when user and password are wrong', async () => {
      const url = `redis://user:secret@127.0.0.1:${server.port}`;
      const opening = openRedisStore({ url, clock: new VirtualClock(), ids: systemIds });
      await expect(opening).rejects.toThrow('does not let us in (WRONGPASS).');
    });

    it('goes through a Unix socket', async () => {
      await using local = await startRedisServer('--unixsocket', 'redis.sock');
      const [, folder = ''] = await local.admin.config('GET', 'dir');
      const url = `unix://${folder}/redis.sock`;
      const { store } = await openRedisStore({ url, clock: new VirtualClock(), ids: systemIds });
      await using opened = store;
      await expect(opened.ping()).resolves.toBeUndefined();
      using _watch = opened.watch('nobody', () => undefined);
    });
  });

  describe('closing', () => {
    it('may be done twice, and what is asked later is unavailable', async () => {
      const { store, limits } = await openAgain();
      await store[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
      await expect(store.ping()).rejects.toThrow(StorageUnavailableError);
      await expect(store.loadConversation(key)).rejects.toThrow(StorageUnavailableError);
      await expect(limits.release({ owner: 'ada', request: 'r' })).rejects.toThrow(StorageUnavailableError);
    });

    it('leaves no connection behind', async () => {
      const { store } = await openAgain();
      await store[Symbol.asyncDispose]();
      await expect.poll(() => server.admin.client('LIST'), { interval: 5 }).not.toContain('name=chat');
    });
  });

  describe('risks', () => {
    it('are told, with what to do', async () => {
      await using harness = await open();
      await server.admin.config('SET', 'maxmemory-policy', 'allkeys-lru');
      const risks = await harness.store.findRisks();
      await server.admin.config('SET', 'maxmemory-policy', 'noeviction');
      expect(risks).toHaveLength(2);
      expect(risks.join(' ')).toMatch(/maxmemory-policy allkeys-lru.*appendonly no/);
    });

    it('are none where every write is on the disk before it is acknowledged', async () => {
      await using durable = await startRedisServer(...DURABLE);
      const { store } = await openRedisStore({ url: durable.url, clock: new VirtualClock(), ids: systemIds });
      await using opened = store;
      expect(await opened.findRisks()).toStrictEqual([]);
      await durable.admin.config('SET', 'appendfsync', 'everysec');
      expect(await opened.findRisks()).toStrictEqual([expect.stringContaining('appendfsync everysec')]);
      await durable.admin.acl('SETUSER', 'default', '-config');
      expect(await opened.findRisks()).toStrictEqual([]); // what may not be looked at is not spoken of
    });
  });
});

/** A store that has opened the conversation already. */
const withOpened = (
  { store }: RedisHarness,
  opened: Awaited<ReturnType<RedisHarness['store']['open']>>,
): RedisHarness['store'] =>
  new Proxy(store, {
    get: (target, name) => {
      if (name === 'open') return () => Promise.resolve(opened);
      const member: unknown = Reflect.get(target, name);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });

/** A turn of a conversation whose window is kept at six messages. */
const addKeptTurn = async (harness: RedisHarness): Promise<void> => {
  const messageCount = (await harness.store.loadConversation(key))?.messageCount ?? 0;
  const position = Math.max(messageCount - 4, 0);
  await addTurn(harness, 'Yes.', { cut: { position, droppedTurns: position / 2 } });
};

const loadExpiries = async ({ admin }: RedisServer): Promise<readonly (readonly [string, number])[]> => {
  const names = await admin.keys('*');
  return Promise.all(names.map(async (name) => [name, Number(await admin.call('PEXPIRETIME', name))] as const));
};

/** What a key is for. */
const toKind = (name: string): string => {
  const [, , second, third] = name.split(':');
  if (name === 'chat:schema') return 'schema';
  return third ?? (second?.length === 22 ? 'conversation' : (second ?? ''));
};

/** Makes of what is stored what the first version of the layout had. */
const toFirstVersion = async ({ admin }: RedisServer): Promise<void> => {
  await admin.set('chat:schema', 1);
  const [running = ''] = await admin.keys('*}:*:running');
  await admin.hdel(running, 'own', 'replaces', 'grows');
  const [replies = ''] = await admin.keys('*:replies');
  for (const [field, record] of Object.entries(await admin.hgetall(replies))) {
    await admin.hset(replies, field, record.replace('"promptTokens":10,', ''));
  }
};

/** Leaves no room, until disposed. */
const fillMemory = async ({ admin }: RedisServer): Promise<AsyncDisposable> => {
  await admin.config('SET', 'maxmemory', '1');
  return {
    [Symbol.asyncDispose]: async () => {
      await admin.config('SET', 'maxmemory', '0');
    },
  };
};

/** Cuts the store's connections; resolves when it has new ones. */
const reconnect = async ({ admin }: RedisServer, { store }: RedisHarness): Promise<void> => {
  await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
  await expect
    .poll(
      () =>
        store.ping().then(
          () => true,
          () => false,
        ),
      { interval: 5, timeout: 5_000 },
    )
    .toBe(true);
};
