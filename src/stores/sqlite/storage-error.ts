import { StorageFullError, StorageLostError, StorageUnavailableError } from '../../errors.ts';

// Primary result codes of SQLite (https://sqlite.org/rescode.html); the extended ones have more in their high bits.
const PRIMARY_CODE = 0xff;
const FULL = 13;
const LOST: ReadonlySet<number> = new Set([11, 26]); // CORRUPT, NOTADB
// PERM, BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, CANTOPEN, PROTOCOL, NOLFS, AUTH
const UNAVAILABLE: ReadonlySet<number> = new Set([3, 5, 6, 7, 8, 9, 10, 14, 15, 22, 23]);

/** SQLite's errors as the store's own; what is a mistake in this program is given back as it is. */
export const toStorageError = (error: unknown): unknown => {
  const code = toPrimaryCode(error);
  if (code === FULL || isError(error, 'ENOSPC')) {
    const message = 'The disk of the chat store is full: nothing more is kept. Make room on it and try again.';
    return new StorageFullError(message, { cause: error });
  }
  if (code !== undefined && LOST.has(code)) {
    const message = 'The file of the chat store is damaged. Put back a backup of it, or set DATA_DIR to a new folder.';
    return new StorageLostError(message, { cause: error });
  }
  if ((code !== undefined && UNAVAILABLE.has(code)) || isError(error, 'ERR_INVALID_STATE')) {
    return new StorageUnavailableError('The chat store cannot be reached just now. Try again.', { cause: error });
  }
  return error;
};

/** Runs `operation` and throws its errors as the store's own. */
export const withStorageErrors = <Result>(operation: () => Result): Result => {
  try {
    return operation();
  } catch (error) {
    throw toStorageError(error);
  }
};

const toPrimaryCode = (error: unknown): number | undefined =>
  error instanceof Error && 'errcode' in error && typeof error.errcode === 'number'
    ? error.errcode & PRIMARY_CODE
    : undefined;

const isError = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code;
