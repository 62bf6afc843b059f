import { ForbiddenError } from '../errors.ts';
import { isAddress, isLoopback, originText, parseAuthority, parseOrigin } from './authority.ts';
import type { Origin } from './authority.ts';

export interface DoorOptions {
  /** The address the service listens on. */
  readonly host: string;
  /** `scheme://host[:port]`, compared exactly; undefined lets in the pages of this machine. */
  readonly allowedOrigins: readonly string[] | undefined;
  /** Whether callers must show a key. */
  readonly hasKeys: boolean;
  /** Whether a proxy that is trusted stands in front: it passes on the name that people know. */
  readonly isBehindProxy?: boolean;
}

/** What a request must say of itself before anybody asks for its key: a web page elsewhere stays outside. */
export interface Door {
  /**
   * A page whose own name was pointed at this machine (DNS rebinding) sends that name as `Host`.
   * @throws ForbiddenError where the service listens on loopback and the header does not name loopback
   */
  checkHost(hostHeader: string | undefined): void;
  /**
   * A browser says which page asks; what is not a browser sends no `Origin` and passes.
   * @throws ForbiddenError for a page that is not let in
   */
  checkOrigin(origin: string | undefined, hostHeader: string | undefined): void;
  /** The same as `checkOrigin`, as an answer. */
  allowsOrigin(origin: string | undefined, hostHeader: string | undefined): boolean;
}

export const createDoor = ({ host, allowedOrigins, hasKeys, isBehindProxy = false }: DoorOptions): Door => {
  // A page whose name was pointed here has no key: where one is needed, the proxy may pass on any name.
  const isOwnMachineOnly = isLoopback(host) && !(hasKeys && isBehindProxy);
  const listed = allowedOrigins && toOriginTexts(allowedOrigins);
  const allowsOrigin: Door['allowsOrigin'] = (text, hostHeader) => {
    if (text === undefined) return true;
    const origin = parseOrigin(text);
    if (origin === undefined) return false; // `null` too: any sandboxed page is that
    const isListed = listed ? listed.has(originText(origin)) : isLoopbackPage(origin);
    return isListed || isOwnPage({ origin, hostHeader, hasKeys });
  };
  return {
    allowsOrigin,
    checkHost(hostHeader) {
      if (isOwnMachineOnly && !isLoopbackHost(hostHeader)) throw new ForbiddenError(FOREIGN_HOST);
    },
    checkOrigin(origin, hostHeader) {
      if (!allowsOrigin(origin, hostHeader)) throw new ForbiddenError(FOREIGN_ORIGIN);
    },
  };
};

// Neither sentence repeats what was sent: a header is the sender's text.
const FOREIGN_HOST =
  'This service listens for its own machine only: the Host header must be localhost or 127.0.0.1 (a proxy in front of it can set it).';
const FOREIGN_ORIGIN =
  "Pages of this origin may not use the service. Its operator can let them in: ALLOWED_ORIGINS takes the page's scheme://host:port.";

const toOriginTexts = (origins: readonly string[]): ReadonlySet<string> =>
  new Set(origins.flatMap((text) => parseOrigin(text) ?? []).map(originText));

/** Whether the header names this machine, at any port. */
export const isLoopbackHost = (hostHeader: string | undefined): boolean => {
  const host = hostHeader === undefined ? undefined : parseAuthority(hostHeader, 'http');
  return host !== undefined && isLoopback(host.hostname);
};

const isWebPage = ({ scheme }: Origin): boolean => scheme === 'http' || scheme === 'https';

/** Whether a page of this machine, at any port. */
export const isLoopbackPage = (origin: Origin): boolean => isWebPage(origin) && isLoopback(origin.hostname);

interface OwnPageQuestion {
  readonly origin: Origin;
  readonly hostHeader: string | undefined;
  readonly hasKeys: boolean;
}

/**
 * Whether the page came from this very service: its host and port are the ones that were asked. A rebound name
 * would meet that as well, so a name counts only where a key is needed besides; an address cannot be rebound.
 */
export const isOwnPage = ({ origin, hostHeader, hasKeys }: OwnPageQuestion): boolean => {
  const host = hostHeader === undefined ? undefined : parseAuthority(hostHeader, origin.scheme);
  if (host === undefined || !isWebPage(origin)) return false;
  if (host.hostname !== origin.hostname || host.port !== origin.port) return false;
  return hasKeys || isLoopback(host.hostname) || isAddress(host.hostname);
};
