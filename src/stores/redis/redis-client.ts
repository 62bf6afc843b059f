import { Cluster, Redis, type RedisOptions } from 'ioredis';
import type { Ids } from '../../clock.ts';
import type { RedisAddress, RedisNode } from './redis-address.ts';

const CONNECT_TIMEOUT_MS = 2_000;
const COMMAND_TIMEOUT_MS = 1_000;
/** A connection on which a command has waited so long is given up: a cut network says nothing by itself. */
const SOCKET_TIMEOUT_MS = 1_500;
const RETRY_MS = 50;
const MAX_RETRY_MS = 2_000;
const JITTER = 0.2;
const SLOTS_REFRESH_MS = 5_000;
const MAX_REDIRECTIONS = 4;

/** How long to wait before the next try to connect; `tries` counts from 1. */
export const toRetryDelay = (tries: number, ids: Ids): number =>
  Math.round(Math.min(RETRY_MS * 2 ** (tries - 1), MAX_RETRY_MS) * (1 + JITTER * ids.random()));

/** ioredis types its answers by `replyMapping`: it is left as it is. */
type ClientOptions = Omit<RedisOptions, 'replyMapping'>;

/**
 * A request is never kept for later and never sent a second time behind our back: it fails at once, or after a
 * second, and whoever asked decides.
 */
export const toClientOptions = (address: RedisAddress): ClientOptions => ({
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0, // with 1, what was under way when the connection broke waits for its timeout
  autoResendUnfulfilledCommands: false,
  commandTimeout: COMMAND_TIMEOUT_MS,
  connectTimeout: CONNECT_TIMEOUT_MS,
  socketTimeout: SOCKET_TIMEOUT_MS,
  lazyConnect: true,
  connectionName: 'chat',
  ...(address.username !== undefined && { username: address.username }),
  ...(address.password !== undefined && { password: address.password }),
  ...(address.db !== undefined && { db: address.db }),
  ...(address.isEncrypted && { tls: {} }),
});

/** Where one node is: a Unix socket where the address names one. */
export const toNodeOptions = (address: RedisAddress, node: RedisNode | undefined): ClientOptions =>
  address.path === undefined ? { ...node } : { path: address.path };

/** A client that is not connected yet and, once it is, connects again for ever. */
export const createClient = (address: RedisAddress, ids: Ids): Redis | Cluster =>
  address.isCluster ? createClusterClient(address, ids) : createPrimaryClient(address, ids);

const createPrimaryClient = (address: RedisAddress, ids: Ids): Redis =>
  new Redis({
    ...toClientOptions(address),
    ...toNodeOptions(address, address.nodes[0]),
    retryStrategy: (tries) => toRetryDelay(tries, ids),
  });

const createClusterClient = (address: RedisAddress, ids: Ids): Cluster =>
  new Cluster([...address.nodes], {
    redisOptions: toClientOptions(address),
    enableOfflineQueue: false,
    lazyConnect: true,
    clusterRetryStrategy: (tries) => toRetryDelay(tries, ids),
    maxRedirections: MAX_REDIRECTIONS,
    retryDelayOnFailover: 0, // a lost answer is not asked for again behind our back
    slotsRefreshTimeout: COMMAND_TIMEOUT_MS,
    slotsRefreshInterval: SLOTS_REFRESH_MS,
  });
