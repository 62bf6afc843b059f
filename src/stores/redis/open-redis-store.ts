import type { Clock, Ids } from '../../clock.ts';
import { StorageUnavailableError } from '../../errors.ts';
import type { CallerLimits } from '../caller-limits.ts';
import { type ChatStore, DEFAULT_RETENTION, type Retention } from '../chat-store.ts';
import { asNumber, asText } from './answers.ts';
import { SCHEMA_KEY } from './keys.ts';
import { NudgeSubscriber } from './nudge-subscriber.ts';
import { describeAddress, parseRedisAddress, type RedisAddress } from './redis-address.ts';
import { RedisCallerLimits } from './redis-caller-limits.ts';
import { RedisChatStore } from './redis-chat-store.ts';
import { RedisConnection } from './redis-connection.ts';
import { parseInfo } from './risks.ts';
import { raiseSchema } from './scripts.ts';

export interface OpenRedisStoreOptions {
  /** As `REDIS_URL`; see `parseRedisAddress`. */
  readonly url: string;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly retention?: Retention;
  /** A time in place of the server's, in milliseconds since 1970: for tests. */
  readonly serverTime?: () => number;
}

/** What is kept in Redis, and what is counted there, on the same connections: they end with the store. */
export interface RedisStore {
  readonly store: ChatStore;
  readonly limits: CallerLimits;
}

/** How the keys are laid out by this build. */
export const SCHEMA_VERSION = 2;

/** The first that has flags of scripts, by which a reply can end when memory is out. */
const MIN_MAJOR = 7;

/**
 * Connects to Redis. Throws `StorageUnavailableError` where it does not answer, is too old, or holds what a newer
 * build has written; the message says what to do.
 */
export const openRedisStore = async (options: OpenRedisStoreOptions): Promise<RedisStore> => {
  const { url, clock, ids, retention = DEFAULT_RETENTION, serverTime } = options;
  const address = parseRedisAddress(url);
  const connection = new RedisConnection({ address, clock, ids, ...(serverTime && { serverTime }) });
  try {
    await connect(connection, address);
    await checkServer(connection);
    await checkSchema(connection, address);
  } catch (error) {
    connection.disconnect();
    throw error;
  }
  const subscriber = new NudgeSubscriber({ address, clock, ids, nodes: () => connection.masters });
  return {
    store: new RedisChatStore({ connection, ids, retention }, subscriber),
    limits: new RedisCallerLimits(connection),
  };
};

const connect = async (connection: RedisConnection, address: RedisAddress): Promise<void> => {
  try {
    await connection.connect();
    await connection.ping();
    // A database that is not there is passed over in silence otherwise, and the first one taken.
    if (address.db !== undefined) await connection.askEach('SELECT', String(address.db));
  } catch (cause) {
    throw new StorageUnavailableError(
      `Redis at ${describeAddress(address)} does not let us in (${toReason(cause)}). Start it, or set REDIS_URL to where it is, with its user, password and a database that it has.`,
      { cause },
    );
  }
};

/** A socket's code, or what Redis says first; the rest may hold what nobody should read. */
const toReason = (error: unknown): string => {
  if (!(error instanceof Error)) return 'unknown';
  return 'code' in error ? String(error.code) : (/^[A-Z]{4,}/.exec(error.message)?.[0] ?? 'no answer');
};

const checkServer = async (connection: RedisConnection): Promise<void> => {
  for (const report of await connection.askEach('INFO', 'server')) {
    const version = parseInfo(asText(report)).get('redis_version') ?? '';
    if (Number.parseInt(version, 10) >= MIN_MAJOR) continue;
    throw new StorageUnavailableError(`Redis ${version} is too old. Use ${MIN_MAJOR}.0 or newer.`);
  }
};

/**
 * The first to come writes the version down, and so does the first of a newer build: what is there stays as it is, since
 * fields that an older build did not know are absent. An older one would not see what replies have to do at their ends.
 */
const checkSchema = async (connection: RedisConnection, address: RedisAddress): Promise<void> => {
  const version = asNumber(await connection.run(raiseSchema, [SCHEMA_KEY], [SCHEMA_VERSION]));
  if (version <= SCHEMA_VERSION) return;
  throw new StorageUnavailableError(
    `The chat store in Redis at ${describeAddress(address)} has schema version ${version}, and this build knows versions ` +
      `up to ${SCHEMA_VERSION}. Start the newer build that wrote it, or set REDIS_URL to another Redis.`,
  );
};
