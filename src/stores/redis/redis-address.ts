import { StorageUnavailableError } from '../../errors.ts';

export interface RedisNode {
  readonly host: string;
  readonly port: number;
}

/** Where Redis is, as `REDIS_URL` says it. */
export interface RedisAddress {
  readonly isCluster: boolean;
  /** One of one primary; of a Cluster, some by which the others are found. Empty for a Unix socket. */
  readonly nodes: readonly RedisNode[];
  /** The Unix socket of one primary. */
  readonly path?: string;
  readonly username?: string;
  readonly password?: string;
  readonly db?: number;
  readonly isEncrypted: boolean;
}

const DEFAULT_PORT = 6379;
const SCHEMES: ReadonlySet<string> = new Set(['redis:', 'rediss:', 'redis-cluster:', 'rediss-cluster:', 'unix:']);

/**
 * Reads `redis://`, `rediss://` (TLS) and `unix:///path` for one primary; many addresses with commas between them, or
 * one of `redis-cluster://` or `rediss-cluster://`, for a Cluster. Later addresses may leave out the scheme; user and
 * password are those of the first. Throws `StorageUnavailableError` for anything else, without repeating it.
 */
export const parseRedisAddress = (text: string): RedisAddress => {
  const [first = '', ...others] = text.split(',').map((part) => part.trim());
  const url = parseUrl(first);
  const isCluster = others.length > 0 || url.protocol.includes('-cluster');
  if (url.protocol === 'unix:' && isCluster) throw wrong();
  const withScheme = (other: string): string => (other.includes('://') ? other : `${url.protocol}//${other}`);
  const nodes =
    url.protocol === 'unix:' ? [] : [url, ...others.map((other) => parseUrl(withScheme(other)))].map(toNode);
  return {
    isCluster,
    nodes,
    isEncrypted: url.protocol.startsWith('rediss'),
    ...(url.protocol === 'unix:' && { path: decodeURIComponent(url.pathname) }),
    ...(url.username && { username: decodeURIComponent(url.username) }),
    ...(url.password && { password: decodeURIComponent(url.password) }),
    ...toDatabase(url, isCluster),
  };
};

/** Who is asked, for an operator to read: never with a password. */
export const describeAddress = ({ nodes, path }: RedisAddress): string =>
  path ?? nodes.map(({ host, port }) => `${host}:${port}`).join(', ');

const parseUrl = (text: string): URL => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !SCHEMES.has(url.protocol) || (url.hostname === '') !== (url.protocol === 'unix:')) throw wrong();
  return url;
};

const toNode = ({ hostname, port }: URL): RedisNode => ({
  host: hostname.replace(/^\[|\]$/g, ''), // the brackets of IPv6
  port: port === '' ? DEFAULT_PORT : Number(port),
});

/** A Cluster has one database only. */
const toDatabase = ({ protocol, pathname }: URL, isCluster: boolean): { readonly db?: number } => {
  const name = pathname.slice(1);
  if (protocol === 'unix:' || name === '') return {};
  if (isCluster || !/^\d{1,4}$/.test(name)) throw wrong();
  return { db: Number(name) };
};

const wrong = (): StorageUnavailableError =>
  new StorageUnavailableError(
    'REDIS_URL is not understood. Write redis://host:6379, rediss:// for TLS, unix:///path, or several addresses with ' +
      'commas between them for a Cluster.',
  );
