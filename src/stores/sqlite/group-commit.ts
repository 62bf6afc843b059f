import type { DatabaseSync } from 'node:sqlite';
import type { Clock } from '../../clock.ts';
import { StorageLostError, StorageUnavailableError } from '../../errors.ts';
import { toStorageError } from './storage-error.ts';

/**
 * What a commit outlives. `process`: a kill of the process (the file is written, `synchronous=NORMAL`).
 * `power`: a power cut too (the file is on the disk, `synchronous=FULL`).
 */
export type Durability = 'process' | 'power';

interface Job {
  readonly durability: Durability;
  /** Runs the operation and gives back what tells its caller the result. */
  readonly run: () => () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Gathers what is written in one turn of the loop and commits it at once: the disk is waited for once per turn,
 * not once per write. Operations run in the order in which they came, and each one is done whole or not at all.
 */
export class GroupCommit {
  readonly #database: DatabaseSync;
  readonly #clock: Clock;
  #jobs: Job[] = [];
  #durability: Durability | undefined;

  constructor(database: DatabaseSync, clock: Clock) {
    this.#database = database;
    this.#clock = clock;
  }

  /**
   * Runs `operation` inside a transaction and resolves with its result when that is committed. It may run twice
   * (then nothing of the first time was kept) and must touch nothing but the database.
   */
  run<Result>(durability: Durability, operation: () => Result): Promise<Result> {
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    if (this.#jobs.length === 0) this.#clock.afterTurn(() => this.flush());
    const runOperation = (): (() => void) => {
      const result = operation();
      return () => resolve(result);
    };
    this.#jobs.push({ durability, run: runOperation, reject });
    return promise;
  }

  /** Commits what has been gathered. */
  flush(): void {
    const jobs = this.#jobs;
    this.#jobs = [];
    if (jobs.length > 0) this.#commit(jobs);
  }

  #commit(jobs: readonly Job[]): void {
    try {
      for (const tell of this.#runAll(jobs)) tell();
    } catch (error) {
      // One of them failed, or together they were too much: each gets its own try, so that none spoils another.
      if (jobs.length > 1 && !isShared(error)) for (const job of jobs) this.#commit([job]);
      else for (const job of jobs) job.reject(error);
    }
  }

  #runAll(jobs: readonly Job[]): readonly (() => void)[] {
    try {
      this.#setDurability(jobs.some((job) => job.durability === 'power') ? 'power' : 'process');
      this.#database.exec('BEGIN IMMEDIATE');
      const tells = jobs.map((job) => job.run());
      this.#database.exec('COMMIT');
      return tells;
    } catch (error) {
      throw this.#rollBack(toStorageError(error));
    }
  }

  /** The level cannot be changed inside a transaction, and costs nothing where it stays. */
  #setDurability(durability: Durability): void {
    if (durability === this.#durability) return;
    this.#database.exec(`PRAGMA synchronous = ${durability === 'power' ? 'FULL' : 'NORMAL'}`);
    this.#durability = durability;
  }

  /** Gives back what the callers are told of `error`. SQLite rolls back by itself after some errors. */
  #rollBack(error: unknown): unknown {
    try {
      if (this.#database.isOpen && this.#database.isTransaction) this.#database.exec('ROLLBACK');
      return error;
    } catch (cause) {
      return toStorageError(cause);
    }
  }
}

/** Whether each of the operations would meet the same error, and wait for it again. */
const isShared = (error: unknown): boolean =>
  error instanceof StorageUnavailableError || error instanceof StorageLostError;
