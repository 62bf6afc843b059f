import { access, constants, mkdir } from 'node:fs/promises';
import { closeSync, existsSync, openSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { StorageUnavailableError } from '../../errors.ts';
import { lockFolder } from './folder-lock.ts';
import { refuseNewerSchema } from './schema.ts';
import { SqliteChatStore, type SqliteChatStoreOptions } from './sqlite-chat-store.ts';
import { withStorageErrors } from './storage-error.ts';

export interface OpenSqliteStoreOptions extends Omit<SqliteChatStoreOptions, 'database' | 'lock'> {
  /** The folder that holds `chat.sqlite`; made where it is not there. */
  readonly dataDir: string;
}

/**
 * Opens the chat store of a data folder and keeps the folder for this process.
 * Throws `StorageUnavailableError` where the folder cannot be used, another process has it, or a newer build wrote
 * it, and `StorageLostError` where the file is damaged; the message says what to do.
 */
export const openSqliteStore = async ({ dataDir, ...options }: OpenSqliteStoreOptions): Promise<SqliteChatStore> => {
  const folder = resolve(dataDir);
  await makeFolder(folder);
  using opened = new DisposableStack();
  const holder = { dataDir: folder, pid: process.pid, now: options.clock.now() };
  const lock = opened.use(withStorageErrors(() => lockFolder(holder)));
  const database = opened.use(openDatabase(join(folder, 'chat.sqlite')));
  const store = new SqliteChatStore({ ...options, database, lock });
  opened.move(); // from here on, they are the store's
  return store;
};

/** What people say is nobody else's, whatever the folder's rights are. */
const OWNER_ONLY = 0o600;

const makeFolder = async (folder: string): Promise<void> => {
  try {
    // What people say is nobody else's: only the service's own user may enter.
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await access(folder, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown';
    throw new StorageUnavailableError(
      `The data folder ${folder} cannot be used (${code}). Set DATA_DIR to a folder that this user may write to.`,
      { cause },
    );
  }
};

/** A file of a newer build is looked at without a right to write, so that not a byte of it changes. */
const openDatabase = (path: string): DatabaseSync =>
  withStorageErrors(() => {
    if (existsSync(path)) {
      using reader = new DatabaseSync(path, { readOnly: true });
      refuseNewerSchema(reader);
    }
    closeSync(openSync(path, 'a', OWNER_ONLY)); // SQLite's other files take the rights of this one
    return new DatabaseSync(path);
  });
