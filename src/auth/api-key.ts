import { createHash, timingSafeEqual } from 'node:crypto';

/** `id.secret`: neither part can hold the dot between them. */
const KEY = /^(?<id>[A-Za-z0-9_-]{1,64})\.(?<secret>[A-Za-z0-9_-]{32,})$/;

/** Prints a new key: 256 bits of the operating system's randomness. Runs in any shell. */
export const MAKE_KEY_COMMAND = `node -p "'alice.' + require('node:crypto').randomBytes(32).toString('base64url')"`;

/** SHA-256, 32 bytes: what is compared, so that lengths are always equal. */
export const digestSecret = (secret: string): Buffer => createHash('sha256').update(secret).digest();

/**
 * Who may call, and how the secret is known again. Only the secret's digest is held, in a private field:
 * neither a log nor `inspect` shows it. 256 random bits need no slow hash.
 */
export class ApiKey {
  /** The key's id; two keys of one owner may be valid at once, so that a key can be exchanged. */
  readonly owner: string;
  readonly #digest: Buffer;

  constructor(owner: string, digest: Buffer) {
    this.owner = owner;
    this.#digest = digest;
  }

  /** In constant time. `digest` is a `digestSecret`. */
  matches(digest: Buffer): boolean {
    return timingSafeEqual(this.#digest, digest);
  }
}

/** The key that `id.secret` describes; undefined where the text is not one. */
export const parseApiKey = (text: string): ApiKey | undefined => {
  const { id, secret } = KEY.exec(text)?.groups ?? {};
  return id === undefined || secret === undefined ? undefined : new ApiKey(id, digestSecret(secret));
};
