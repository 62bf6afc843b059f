import { describe, expect, it } from 'vitest';
import { StorageUnavailableError } from '../../src/errors.ts';
import { describeAddress, parseRedisAddress } from '../../src/stores/redis/redis-address.ts';

describe('REDIS_URL', () => {
  it('names one primary, with user, password and database', () => {
    expect(parseRedisAddress('redis://ada:p%40ss@redis.local:7000/3')).toStrictEqual({
      isCluster: false,
      nodes: [{ host: 'redis.local', port: 7000 }],
      isEncrypted: false,
      username: 'ada',
      password: 'p@ss',
      db: 3,
    });
  });

  it('needs no port, and takes rediss for TLS', () => {
    const address = { isCluster: false, nodes: [{ host: 'redis.local', port: 6379 }], isEncrypted: true };
    expect(parseRedisAddress('rediss://redis.local')).toStrictEqual(address);
    expect(parseRedisAddress('redis://[::1]:7000').nodes).toStrictEqual([{ host: '::1', port: 7000 }]);
  });

  it('names a Unix socket', () => {
    const address = { isCluster: false, nodes: [], isEncrypted: false, path: '/run/redis/redis.sock' };
    expect(parseRedisAddress('unix:///run/redis/redis.sock')).toStrictEqual(address);
  });

  it('names a Cluster by several of its nodes, or by one with a scheme of its own', () => {
    const nodes = [
      { host: 'a', port: 7000 },
      { host: 'b', port: 7001 },
    ];
    expect(parseRedisAddress('redis://a:7000, redis://b:7001')).toMatchObject({ isCluster: true, nodes });
    expect(parseRedisAddress('redis://:secret@a:7000,b:7001')).toMatchObject({ nodes, password: 'secret' });
    expect(parseRedisAddress('rediss-cluster://a:7000')).toMatchObject({
      isCluster: true,
      isEncrypted: true,
      nodes: [{ host: 'a', port: 7000 }],
    });
  });

  it('is refused with what to write, and not repeated: it may hold a password', () => {
    const wrong = ['', 'redis', 'http://a', 'redis://a,,', 'redis://a/x', 'redis://a/1,b', 'unix:///a,redis://b'];
    for (const text of wrong) {
      expect(() => parseRedisAddress(text)).toThrow(StorageUnavailableError);
      expect(() => parseRedisAddress(text)).toThrow(/^REDIS_URL is not understood\. Write redis:\/\/host:6379/);
    }
  });

  it('is told without user and password', () => {
    expect(describeAddress(parseRedisAddress('redis://ada:secret@a:7000,b:7001'))).toBe('a:7000, b:7001');
  });
});
