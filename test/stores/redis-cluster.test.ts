import { afterAll, beforeAll, describe } from 'vitest';
import { describeCallerLimits } from '../contract/caller-limits.ts';
import { describeChatStore } from '../contract/chat-store.ts';
import { openRedisHarness, type RedisHarness } from '../support/redis-harness.ts';
import { hasRedisServer, type RedisCluster, startRedisCluster } from '../support/redis-server.ts';

describe.skipIf(!hasRedisServer)('Redis, a Cluster of three masters', () => {
  let cluster: RedisCluster;
  beforeAll(async () => {
    cluster = await startRedisCluster();
  });
  afterAll(() => cluster[Symbol.asyncDispose]());

  const open = (): Promise<RedisHarness> =>
    openRedisHarness({ url: cluster.url, admins: cluster.nodes.map((node) => node.admin) });
  describeChatStore('Redis Cluster', open);
  describeCallerLimits('Redis Cluster', open);
});
