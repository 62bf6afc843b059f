import { afterAll, beforeAll, describe } from 'vitest';
import { describeCallerLimits } from '../contract/caller-limits.ts';
import { describeChatStore } from '../contract/chat-store.ts';
import { openRedisHarness, type RedisHarness } from '../support/redis-harness.ts';
import { hasRedisServer, type RedisServer, startRedisServer } from '../support/redis-server.ts';

describe.skipIf(!hasRedisServer)('Redis, one primary', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedisServer();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const open = (): Promise<RedisHarness> => openRedisHarness({ url: server.url, admins: [server.admin] });
  describeChatStore('Redis', open);
  describeCallerLimits('Redis', open);
});
