import { ANONYMOUS } from '../conversation/owner.ts';
import { UnauthorizedError } from '../errors.ts';
import { ApiKey, digestSecret } from './api-key.ts';

/** Who is calling. */
export interface Caller {
  /** Whose conversations they are. */
  readonly owner: string;
}

/**
 * Who sent these credentials (`id.secret`, see `credentials.ts`).
 * @throws UnauthorizedError, the same for an unknown id and a wrong secret
 */
export type Authenticate = (credentials: string | undefined) => Caller;

const HOW_TO_SEND =
  'Send it as "Authorization: Bearer <key>"; a browser\'s WebSocket sends the subprotocols "llm-chat.v1" and "bearer.<key>".';

/** Without keys everybody is `anonymous`, whatever they send: a client may keep its key when the keys are gone. */
export const createAuthenticator = ({ keys }: { readonly keys: readonly ApiKey[] }): Authenticate => {
  if (keys.length === 0) return () => ({ owner: ANONYMOUS });
  const keysOf = createLookup(keys);
  return (credentials) => {
    if (credentials === undefined) throw new UnauthorizedError(`This service needs an API key. ${HOW_TO_SEND}`);
    const { id, secret } = split(credentials);
    const digest = digestSecret(secret);
    // No early exit: every credential costs one digest and the same number of comparisons.
    const matches = keysOf(id).filter((key) => key.matches(digest));
    if (matches.length === 0) throw new UnauthorizedError(`The API key is not valid. ${HOW_TO_SEND}`);
    return { owner: id };
  };
};

/** Nobody can find a secret whose SHA-256 is all zeros. */
const NOBODYS_DIGEST = Buffer.alloc(32);

/** The keys of an id; lists are filled up with keys that nobody has, so that all ids, and none, look alike. */
const createLookup = (keys: readonly ApiKey[]): ((id: string) => readonly ApiKey[]) => {
  const byId = Map.groupBy(keys, (key) => key.owner);
  const length = Math.max(...[...byId.values()].map((list) => list.length));
  const decoys = Array.from({ length }, () => new ApiKey('', NOBODYS_DIGEST));
  const padded = new Map([...byId].map(([id, list]) => [id, [...list, ...decoys.slice(list.length)]]));
  return (id) => padded.get(id) ?? decoys;
};

const split = (credentials: string): { id: string; secret: string } => {
  const dot = credentials.indexOf('.');
  return dot === -1
    ? { id: '', secret: credentials }
    : { id: credentials.slice(0, dot), secret: credentials.slice(dot + 1) };
};
