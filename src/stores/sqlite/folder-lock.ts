import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { toTimestamp } from '../../clock.ts';
import { StorageUnavailableError } from '../../errors.ts';

interface Holder {
  readonly pid: number;
  /** RFC 3339. */
  readonly since: string;
}

export interface FolderLockOptions {
  /** It exists and can be written to. */
  readonly dataDir: string;
  readonly pid: number;
  /** Milliseconds since 1970, UTC. */
  readonly now: number;
}

/**
 * Locks a data folder for one process, until disposed or until the process ends, however it ends: the lock is an
 * open transaction on a database of its own, which the operating system drops with the process. The chats' database
 * stays readable for others, so that it can be backed up while the service runs.
 * Throws `StorageUnavailableError`, which names the holder, while another process has the folder.
 */
export const lockFolder = ({ dataDir, pid, now }: FolderLockOptions): Disposable => {
  const holderPath = join(dataDir, 'lock.json');
  const lock = new DatabaseSync(join(dataDir, 'lock.sqlite'), { timeout: 0 });
  try {
    lock.exec('BEGIN EXCLUSIVE');
    writeFileSync(holderPath, JSON.stringify({ pid, since: toTimestamp(now) } satisfies Holder));
  } catch (cause) {
    lock.close();
    throw isBusy(cause) ? toHeldError(dataDir, loadHolder(holderPath), cause) : cause;
  }
  return {
    [Symbol.dispose]: () => {
      // In this order: the file is taken away before another process can have written its own.
      rmSync(holderPath, { force: true });
      lock.close();
    },
  };
};

const SQLITE_BUSY = 5;

const isBusy = (error: unknown): boolean =>
  error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY;

const toHeldError = (dataDir: string, holder: Holder | undefined, cause: unknown): StorageUnavailableError => {
  const who = holder ? `process ${holder.pid} since ${holder.since}` : 'another process';
  return new StorageUnavailableError(
    `The data folder ${dataDir} is in use by ${who}. ` +
      'Use the service that is running there, stop it first, or set DATA_DIR to another folder.',
    { cause },
  );
};

const loadHolder = (path: string): Holder | undefined => {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined; // not there yet, or half written
  }
};
