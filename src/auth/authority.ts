import { BlockList, isIP } from 'node:net';

/** Where something is: the part of a URL between `//` and the path, without a user. */
export interface Authority {
  /** Lower case, as a browser writes it: `127.1` is `127.0.0.1`, an IPv6 address stands in brackets. */
  readonly hostname: string;
  /** Absent where the text names none and the scheme has none of its own. */
  readonly port: number | undefined;
}

/** A browser's `Origin`. */
export interface Origin extends Authority {
  /** Lower case, without the colon. */
  readonly scheme: string;
}

// Nothing but a host and a port: no user, no path, no white space. `URL` alone would take all of them.
const AUTHORITY = /^(?<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?<port>\d{1,5}))?$/i;
const ORIGIN = /^(?<scheme>[a-z][a-z0-9+.-]*):\/\/(?<authority>.*)$/is;
const DEFAULT_PORTS: ReadonlyMap<string, number> = new Map([
  ['http', 80],
  ['https', 443],
]);
const HIGHEST_PORT = 65_535;

/** Reads `host[:port]`; without a port it is the scheme's own. Undefined for anything else. */
export const parseAuthority = (text: string, scheme: string): Authority | undefined => {
  const { host, port } = AUTHORITY.exec(text)?.groups ?? {};
  const hostname = host === undefined ? undefined : URL.parse(`http://${host}`)?.hostname;
  if (hostname === undefined || Number(port ?? 0) > HIGHEST_PORT) return undefined;
  return { hostname, port: port === undefined ? DEFAULT_PORTS.get(scheme) : Number(port) };
};

/** Reads `scheme://host[:port]`; undefined for anything else, `null` and a path included. */
export const parseOrigin = (text: string): Origin | undefined => {
  const groups = ORIGIN.exec(text)?.groups;
  const scheme = groups?.['scheme']?.toLowerCase();
  if (scheme === undefined) return undefined;
  const authority = parseAuthority(groups?.['authority'] ?? '', scheme);
  return authority && { scheme, ...authority };
};

/** One spelling for each origin, as a browser sends it: two are the same if and only if these are equal. */
export const originText = ({ scheme, hostname, port }: Origin): string =>
  `${scheme}://${hostname}${port === undefined || port === DEFAULT_PORTS.get(scheme) ? '' : `:${port}`}`;

/** Whether a literal IP address, and not a name that somebody's DNS can point anywhere. */
export const isAddress = (hostname: string): boolean => isIP(withoutBrackets(hostname)) !== 0;

/** Whether this machine itself is meant: 127.0.0.0/8, `::1`, `localhost` and what ends in `.localhost` (RFC 6761). */
export const isLoopback = (hostname: string): boolean => {
  const bare = withoutBrackets(hostname).toLowerCase();
  const family = isIP(bare);
  if (family === 0) return bare === 'localhost' || bare.endsWith('.localhost');
  return loopbackAddresses.check(bare, family === 6 ? 'ipv6' : 'ipv4');
};

const withoutBrackets = (hostname: string): string => hostname.replace(/^\[(.*)\]$/, '$1');

const loopbackAddresses = new BlockList();
loopbackAddresses.addSubnet('127.0.0.0', 8, 'ipv4');
loopbackAddresses.addAddress('::1', 'ipv6');
