import { StorageFullError, StorageUnavailableError } from '../../errors.ts';

// What Redis says first in an error reply when it is up but cannot answer just now, or not here.
const AWAY: ReadonlySet<string> = new Set([
  'LOADING',
  'READONLY',
  'CLUSTERDOWN',
  'MASTERDOWN',
  'TRYAGAIN',
  'MOVED',
  'ASK',
  'BUSY',
  'NOREPLICAS',
  'MISCONF',
  'NOAUTH',
  'WRONGPASS',
  'NOPERM',
]);

// What ioredis says when the connection is lost, never came to be, or is silent; and a socket's own codes.
const LOST =
  /^(Connection is closed|Command timed out|Stream isn't writeable|Reached the max retries|Too many Cluster redirections|Failed to refresh slots|Cluster isn't ready|Cluster is ended|Socket timeout|Command aborted|None of startup nodes|connect ETIMEDOUT)/;
const SOCKET_CODE = /^E[A-Z_]+$/;

/** Errors of Redis and of the way to it as the store's own; what is a mistake in this program is given back as it is. */
export const toStorageError = (error: unknown): unknown => {
  if (!(error instanceof Error)) return error;
  const word = toFirstWord(error.message);
  if (word === 'OOM' || (word === 'MISCONF' && error.message.includes('No space left'))) {
    const message =
      'Redis has no room left, and nothing of this was kept. Raise its maxmemory, or delete conversations.';
    return new StorageFullError(message, { cause: error });
  }
  if (!AWAY.has(word) && !LOST.test(error.message) && !hasSocketCode(error)) return error;
  return new StorageUnavailableError('Redis cannot be reached just now. Try again.', { cause: error });
};

/** A script's error tells the reply that it met as its own, behind a few words of where. */
const toFirstWord = (message: string): string => /^(?:-|ERR )?([A-Z]+)/.exec(message)?.[1] ?? '';

const hasSocketCode = (error: Error): boolean => 'code' in error && SOCKET_CODE.test(String(error.code));
