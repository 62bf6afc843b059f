import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Authenticate } from '../auth/authenticate.ts';
import { ANONYMOUS } from '../conversation/owner.ts';
import { credentialsOfRequest, credentialsOfSocket } from '../auth/credentials.ts';
import type { Door } from '../auth/door.ts';
import { NotFoundError } from '../errors.ts';
import { toNetwork } from './network.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Answers without a key. */
    isOpen?: boolean;
    /** Answers handshakes of WebSockets. */
    isSocket?: boolean;
  }
}

export interface DoorHookOptions {
  readonly door: Door;
  readonly authenticate: Authenticate;
}

/** Who is asking. */
export interface Asker {
  /** Whose conversations it is about. */
  readonly owner: string;
  /** Who is limited: the owner, or, where nobody has to say who they are, the address (of IPv6: its network). */
  readonly caller: string;
}

/**
 * Looks at every request before anything else does: where it came from, and who is asking. Returns how a route
 * learns who.
 */
export const registerDoor = (
  app: FastifyInstance,
  { door, authenticate }: DoorHookOptions,
): ((request: FastifyRequest) => Asker) => {
  const askers = new WeakMap<FastifyRequest, Asker>();
  app.addHook('onRequest', async (request) => {
    const { host, origin } = request.headers;
    door.checkHost(host);
    door.checkOrigin(origin, request.host);
    const { isOpen = false, isSocket = false } = request.routeOptions.config;
    // A handshake for a plain route would be accepted first and closed then: it has no socket, so it is not there.
    if (isHandshake(request) && !isSocket) throw new NotFoundError('There is no socket here. Connect to /ws.');
    if (isOpen || request.is404) return;
    const credentials = isSocket ? credentialsOfSocket(request.headers) : credentialsOfRequest(request.headers);
    const { owner } = authenticate(credentials);
    askers.set(request, { owner, caller: owner === ANONYMOUS ? `address ${toNetwork(request.ip)}` : owner });
  });
  // Node gives the connection of a handshake away: where it was refused, nobody else would close it.
  app.addHook('onResponse', async (request) => {
    if (isHandshake(request)) request.raw.socket.destroySoon();
  });
  return (request) => {
    const asker = askers.get(request);
    if (asker === undefined) throw new Error('an open route asked who is calling');
    return asker;
  };
};

/** Whether the client wants to go on with another protocol on this connection (RFC 9110, 7.8). */
const isHandshake = ({ headers }: FastifyRequest): boolean =>
  headers.upgrade !== undefined && /\bupgrade\b/i.test(headers.connection ?? '');
