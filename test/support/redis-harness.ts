import { Redis } from 'ioredis';
import { DEFAULT_RETENTION, LEASE_MS } from '../../src/stores/chat-store.ts';
import { openRedisStore, type RedisStore } from '../../src/stores/redis/open-redis-store.ts';
import { systemIds } from '../../src/system.ts';
import type { LimitsHarness } from '../contract/caller-limits.ts';
import type { StoreHarness } from '../contract/chat-store.ts';
import { VirtualClock } from './virtual-clock.ts';

/** So far away that nothing expires by itself: what falls due does so when a test moves the time. */
const FUTURE_MS = Date.UTC(2100, 0, 1);

/** A server, or the masters of a Cluster. */
export interface RedisUnderTest {
  readonly url: string;
  /** A connection to each master. */
  readonly admins: readonly Redis[];
}

export interface RedisHarness extends StoreHarness, LimitsHarness {
  readonly clock: VirtualClock;
}

/** A store in virtual time, with nothing in it. */
export const openRedisHarness = async ({ url, admins }: RedisUnderTest): Promise<RedisHarness> => {
  await Promise.all(admins.map((admin) => admin.flushall()));
  const clock = new VirtualClock();
  await clock.jump(FUTURE_MS - clock.now());
  const open = (): Promise<RedisStore> => openRedisStore({ url, clock, ids: systemIds, serverTime: () => clock.now() });
  const advance = async (ms: number): Promise<void> => {
    await clock.jump(ms);
    await Promise.all(admins.map((admin) => removeExpired(admin, clock.now())));
  };
  const { store, limits } = await open();
  await advance(LEASE_MS); // the connection is old enough to judge others
  let last = store;
  return {
    store,
    limits,
    clock,
    instance: 'first',
    retention: DEFAULT_RETENTION,
    now: () => clock.now(),
    advance,
    replaceInstance: async () => {
      await store[Symbol.asyncDispose]();
      last = (await open()).store;
      await advance(LEASE_MS);
      return last;
    },
    [Symbol.asyncDispose]: async () => {
      await store[Symbol.asyncDispose]();
      await last[Symbol.asyncDispose]();
    },
  };
};

/** Does what Redis does when a key's time has come. */
const removeExpired = async (admin: Redis, now: number): Promise<void> => {
  for (const key of await admin.keys('*')) {
    const expiresAt = Number(await admin.call('PEXPIRETIME', key));
    if (expiresAt >= 0 && expiresAt <= now) await admin.del(key);
  }
};
