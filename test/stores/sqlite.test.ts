import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import type { Clock } from '../../src/clock.ts';
import { StorageFullError, StorageLostError, StorageUnavailableError } from '../../src/errors.ts';
import { DEFAULT_RETENTION } from '../../src/stores/chat-store.ts';
import { encodeCursor } from '../../src/stores/cursor.ts';
import { openSqliteStore } from '../../src/stores/sqlite/open-sqlite-store.ts';
import { loadSchemaVersion, SCHEMA_VERSION } from '../../src/stores/sqlite/schema.ts';
import { SqliteChatStore } from '../../src/stores/sqlite/sqlite-chat-store.ts';
import { systemIds } from '../../src/system.ts';
import { describeChatStore } from '../contract/chat-store.ts';
import {
  addTurn,
  beginReply,
  key,
  newName,
  readAll,
  type RunningReply,
  type StoreUnderTest,
  toAppend,
  toBegin,
  toClosing,
  toFinish,
} from '../contract/chat-store/fixtures.ts';
import { makeTemporaryFolder, openSqliteHarness } from '../support/sqlite-harness.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

describeChatStore('SQLite', openSqliteHarness);

describe('the data folder', () => {
  it('is made where it is not there', async () => {
    await using folder = await makeTemporaryFolder();
    const dataDir = join(folder.path, 'deep', 'down');
    await using store = await openIn(dataDir);
    await expect(store.ping()).resolves.toBeUndefined();
  });

  it('is named, with what to do, where it cannot be made', async () => {
    await using folder = await makeTemporaryFolder();
    const dataDir = join(folder.path, 'file', 'data');
    await writeFile(join(folder.path, 'file'), '');
    const opening = openIn(dataDir);
    await expect(opening).rejects.toThrow(StorageUnavailableError);
    await expect(opening).rejects.toThrow(
      `The data folder ${dataDir} cannot be used (ENOTDIR). Set DATA_DIR to a folder that this user may write to.`,
    );
  });

  it('can be read by others while the store is open, for a backup', async () => {
    await using folder = await makeTemporaryFolder();
    await using store = await openIn(folder.path);
    await store.createConversation(key);
    using backup = new DatabaseSync(join(folder.path, 'chat.sqlite'), { readOnly: true });
    expect(countRows(backup, 'conversation')).toBe(1);
  });

  it('is left alone where its file is damaged', async () => {
    await using folder = await makeTemporaryFolder();
    const path = join(folder.path, 'chat.sqlite');
    await writeFile(path, 'no database at all '.repeat(1_000));
    await expect(openIn(folder.path)).rejects.toThrow(StorageLostError);
    await writeFile(path, ''); // the folder is not kept locked
    await using store = await openIn(folder.path);
    await expect(store.ping()).resolves.toBeUndefined();
  });
});

describe('the schema', () => {
  it('is brought to the version of this build', async () => {
    await using harness = openInDatabase();
    expect(SCHEMA_VERSION).toBeGreaterThan(0);
    expect(loadSchemaVersion(harness.database)).toBe(SCHEMA_VERSION);
  });

  it('of an older build is brought up to date, with all that is there', async () => {
    await using folder = await makeTemporaryFolder();
    const path = join(folder.path, 'chat.sqlite');
    const older = openInDatabase({ database: new DatabaseSync(path) });
    const { messageId } = await addTurn(older, 'Yes.');
    const running = await beginReply(older);
    await older.store[Symbol.asyncDispose]();
    toSecondVersion(path);

    await using harness = openInDatabase({ database: new DatabaseSync(path) });

    expect(loadSchemaVersion(harness.database)).toBe(SCHEMA_VERSION);
    const conversation = { messageCount: 3, replaced: [], summaries: [], activeReply: running.messageId };
    expect(await harness.store.loadConversation(key)).toMatchObject(conversation);
    expect(await harness.store.loadReply(messageId)).toMatchObject({ state: 'done', promptTokens: 0 });
    expect(await harness.store.finish(toFinish(running, { seq: 1, content: 'Still.' }))).toStrictEqual({ type: 'ok' });
    expect((await harness.store.open(key, 'none')).window).toHaveLength(4);
  });

  it('of a newer build is refused by name, and not a byte of it changes', async () => {
    await using folder = await makeTemporaryFolder();
    const path = join(folder.path, 'chat.sqlite');
    await (await openIn(folder.path))[Symbol.asyncDispose]();
    using newer = new DatabaseSync(path);
    newer.exec('PRAGMA user_version = 99');
    newer.close();
    const before = await readFile(path);

    const opening = openIn(folder.path);

    await expect(opening).rejects.toThrow(StorageUnavailableError);
    await expect(opening).rejects.toThrow(
      `${path} has schema version 99, and this build knows versions up to ${SCHEMA_VERSION}.`,
    );
    expect((await readFile(path)).equals(before)).toBe(true);
  });
});

describe('group commit', () => {
  it('commits a hundred appends of one turn of the loop at once', async () => {
    await using harness = openInDatabase();
    const reply = await beginReply(harness);
    const statements = recordStatements(harness.database);
    const appends = Array.from({ length: 100 }, (_, index) => toAppend(reply, index + 1, 'x'));
    await Promise.all(appends.map((append) => harness.store.append([append])));
    expect(statements.filter((sql) => sql === 'COMMIT')).toHaveLength(1);
  });

  it('waits for the disk when something begins or ends, not for appends and renewals', async () => {
    await using harness = openInDatabase();
    const statements = recordStatements(harness.database);
    const reply = await beginReply(harness);
    await harness.store.append([toAppend(reply, 1, 'x')]);
    await harness.store.renew([reply]);
    await harness.store.append([toAppend(reply, 2, 'x')]);
    await Promise.all([harness.store.append([toAppend(reply, 3, 'x')]), harness.store.cancel(toClosing(reply))]);
    await harness.store.deleteConversation(key);

    const transaction = ['BEGIN IMMEDIATE', 'COMMIT'];
    expect(statements).toStrictEqual([
      'PRAGMA synchronous = FULL',
      ...transaction,
      'PRAGMA synchronous = NORMAL',
      ...transaction,
      ...transaction,
      ...transaction,
      'PRAGMA synchronous = FULL',
      ...transaction,
      ...transaction,
    ]);
  });

  it('keeps one operation that fails from its neighbours', async () => {
    await using harness = openInDatabase();
    const reply = await beginReply(harness);
    const twin = toBegin(harness, { conversationId: 'garden', messageId: reply.messageId });

    const results = await Promise.allSettled([
      harness.store.append([toAppend(reply, 1, 'a')]),
      harness.store.begin(twin), // no two replies have one id
      harness.store.append([toAppend(reply, 2, 'b')]),
    ]);

    expect(results.map((result) => result.status)).toStrictEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(await readAll(harness.store, reply)).toHaveLength(2);
    expect(await harness.store.loadConversation(twin)).toBeUndefined();
  });

  it('finishes what is under way when the store is closed', async () => {
    await using folder = await makeTemporaryFolder();
    const store = await openIn(folder.path);
    const creating = store.createConversation(key);
    await store[Symbol.asyncDispose]();
    expect(await creating).toMatchObject({ type: 'created' });
    await using again = await openIn(folder.path);
    expect(await again.createConversation(key)).toStrictEqual({ type: 'exists' });
  });
});

describe('a store that cannot go on', () => {
  it('says that the disk is full, loses nothing acknowledged, and goes on when there is room', async () => {
    await using harness = openInDatabase();
    const reply = await beginReply(harness);
    leavePages(harness.database, 20);
    const text = 'x'.repeat(2_000);
    const seq = await appendUntilFull(harness, reply, text);
    expect(seq).toBeGreaterThan(5);

    const finish = toFinish(reply, { seq, content: text.repeat(seq - 1) });
    await expect(harness.store.finish(finish)).rejects.toThrow(StorageFullError);
    expect(await readAll(harness.store, reply)).toHaveLength(seq - 1);
    expect(await harness.store.loadReply(reply.messageId)).toMatchObject({ state: 'running', seq: seq - 1 });

    leavePages(harness.database, 1_000);
    expect(await harness.store.append([toAppend(reply, seq, text)])).toStrictEqual([{ type: 'ok' }]);
    expect(await harness.store.cancel(toClosing(reply))).toMatchObject({ type: 'ok', entry: { seq: seq + 1 } });
  });

  it('keeps what still fits when a neighbour does not', async () => {
    await using harness = openInDatabase();
    const small = await beginReply(harness);
    const large = await beginReply(harness, { conversationId: 'garden' });
    leavePages(harness.database, 10);

    const results = await Promise.allSettled([
      harness.store.append([toAppend(small, 1, 'a')]),
      harness.store.append([toAppend(large, 1, 'x'.repeat(1_000_000))]),
      harness.store.append([toAppend(small, 2, 'b')]),
    ]);

    expect(results.map((result) => result.status)).toStrictEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(await readAll(harness.store, small)).toHaveLength(2);
    expect(await readAll(harness.store, large)).toHaveLength(0);
  });

  it('frees room by deleting, even on a full disk', async () => {
    await using harness = openInDatabase();
    const reply = await beginReply(harness);
    leavePages(harness.database, 20);
    await appendUntilFull(harness, reply, 'x'.repeat(2_000));
    expect(await harness.store.deleteConversation(key)).toStrictEqual({ type: 'deleted' });
    expect((await beginReply(harness)).token).toBeTypeOf('string');
  });

  it('is unavailable while another program writes to its file', async () => {
    await using folder = await makeTemporaryFolder();
    await using store = await openIn(folder.path);
    using other = new DatabaseSync(join(folder.path, 'chat.sqlite'));
    other.exec('BEGIN IMMEDIATE');
    await expect(store.createConversation(key)).rejects.toThrow(StorageUnavailableError);
    expect(await store.loadConversation(key)).toBeUndefined();
    other.exec('ROLLBACK');
    expect(await store.createConversation(key)).toMatchObject({ type: 'created' });
  });

  it('is unavailable when it is closed, and may be closed twice', async () => {
    const { store } = openInDatabase();
    await store[Symbol.asyncDispose]();
    await store[Symbol.asyncDispose]();
    await expect(store.ping()).rejects.toThrow(StorageUnavailableError);
    await expect(store.loadConversation(key)).rejects.toThrow(StorageUnavailableError);
    await expect(store.createConversation(key)).rejects.toThrow(StorageUnavailableError);
  });
});

describe('what is read before a reply', () => {
  it('is found by index, in as many rows at 10,000 messages as at 10', async () => {
    const database = new DatabaseSync(':memory:');
    const reads = recordReads(database);
    await using harness = openInDatabase({ database });
    await addTurns(harness, 5);
    const early = await harness.store.open(key, 'none');
    await addTurns(harness, 4_995);
    reads.length = 0;

    const late = await harness.store.open(key, 'none');

    expect(late.conversation?.messageCount).toBe(10_000);
    expect(late.window).toHaveLength(early.window.length);
    // Each plan names all the columns that it looks for: no row is examined that is not wanted.
    expect(reads.flatMap((sql) => explain(database, sql))).toStrictEqual([
      'SEARCH conversation USING INDEX sqlite_autoindex_conversation_1 (owner=? AND conversation_id=?)',
      'SEARCH request USING PRIMARY KEY (conversation=? AND request_id=?)',
      'SEARCH message USING INDEX message_sendable (conversation=? AND position>?)',
    ]);
  });
});

describe('a page of conversations', () => {
  it('is read off an index, the first and the middle one of 100,000 alike', async () => {
    const database = new DatabaseSync(':memory:');
    const reads = recordReads(database);
    await using harness = openInDatabase({ database });
    addConversations(database, 100_000);
    const first = await harness.store.listConversations('ada', { limit: 50 });
    const middle = encodeCursor({ updatedAt: harness.now() + 50_000, id: '50000' });
    const next = await harness.store.listConversations('ada', { limit: 50, cursor: middle });

    expect(first.conversations[0]).toMatchObject({ conversationId: 'room 100000' });
    expect(next.conversations[0]).toMatchObject({ conversationId: 'room 49999' });
    // In the index's order, from the place on: nothing is sorted, and no row is examined that is not on the page.
    const plan = 'SEARCH conversation USING INDEX conversation_use (owner=? AND updated_at<?)';
    expect(reads.flatMap((sql) => explain(database, sql))).toStrictEqual([plan, plan]);
  });
});

describe('what has expired', () => {
  it('is not seen before it is removed', async () => {
    const clock = createStillClock();
    await using harness = openInDatabase({ clock });
    const { begin, messageId } = await addTurn(harness, 'Yes.');
    clock.move(DEFAULT_RETENTION.logMs);
    expect(await harness.store.readLog(messageId, 0, 10)).toStrictEqual([]);
    clock.move(DEFAULT_RETENTION.requestMs);
    expect(await harness.store.open(key, begin.requestId)).not.toHaveProperty('request');
    clock.move(DEFAULT_RETENTION.conversationMs);
    expect(await harness.store.loadReply(messageId)).toBeUndefined();

    expect(countAllRows(harness.database)).toStrictEqual({ conversation: 1, message: 2, reply: 1, log: 1, request: 1 });
    expect(await harness.store.createConversation(key)).toMatchObject({ type: 'created' });
    expect(countAllRows(harness.database)).toStrictEqual({ conversation: 1, message: 0, reply: 0, log: 0, request: 0 });
  });

  it('is removed to the last row, fifty conversations at a time', async () => {
    const clock = createStillClock();
    await using harness = openInDatabase({ clock });
    const rooms = Array.from({ length: 120 }, () => newName('room'));
    await Promise.all(rooms.map((conversationId) => addTurn(harness, 'Yes.', { conversationId })));
    clock.move(DEFAULT_RETENTION.conversationMs);
    const statements = recordStatements(harness.database);

    await harness.store.removeExpired();

    expect(countAllRows(harness.database)).toStrictEqual({ conversation: 0, message: 0, reply: 0, log: 0, request: 0 });
    expect(statements.filter((sql) => sql === 'COMMIT')).toHaveLength(3 + 1 + 3); // logs, request ids, conversations
  });

  it('is removed every minute, and a failure is told', async () => {
    const clock = new VirtualClock();
    const errors: unknown[] = [];
    await using harness = openInDatabase({ clock, onSweepError: (error) => errors.push(error) });
    await addTurn(harness, 'Yes.');
    await clock.jump(DEFAULT_RETENTION.logMs);
    expect(countRows(harness.database, 'log')).toBe(0);

    harness.database.close();
    await clock.advance(60_000);

    expect(errors).toStrictEqual([expect.any(StorageUnavailableError)]);
  });
});

interface DatabaseHarness extends StoreUnderTest, AsyncDisposable {
  readonly store: SqliteChatStore;
  readonly database: DatabaseSync;
}

interface DatabaseHarnessOptions {
  readonly database?: DatabaseSync;
  readonly clock?: Clock;
  readonly onSweepError?: (error: unknown) => void;
}

/** A store over a database that the test can look into; in memory, as nothing here survives it. */
const openInDatabase = (options: DatabaseHarnessOptions = {}): DatabaseHarness => {
  const { database = new DatabaseSync(':memory:'), clock = new VirtualClock(), ...rest } = options;
  const store = new SqliteChatStore({ database, clock, ids: systemIds, instance: 'first', ...rest });
  return {
    store,
    database,
    instance: 'first',
    now: () => clock.now(),
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
};

const openIn = (dataDir: string): Promise<SqliteChatStore> =>
  openSqliteStore({ dataDir, clock: new VirtualClock(), ids: systemIds, instance: 'first' });

/** Makes of a file what the second version of the schema had: nothing was asked again, and nothing summed up. */
const toSecondVersion = (path: string): void => {
  using database = new DatabaseSync(path);
  database.exec(`
    ALTER TABLE conversation DROP COLUMN replaced;
    ALTER TABLE conversation DROP COLUMN summaries;
    UPDATE reply SET body = json_remove(body, '$.promptTokens');
    PRAGMA user_version = 2`);
};

/** Turns of a conversation whose window is kept at a few messages. */
const addTurns = async (harness: DatabaseHarness, count: number): Promise<void> => {
  for (let turn = 1; turn <= count; turn++) {
    const messageCount = (await harness.store.loadConversation(key))?.messageCount ?? 0;
    const position = Math.max(messageCount - 4, 0);
    await addTurn(harness, 'Yes.', { cut: { position, droppedTurns: position / 2 } });
  }
};

/** Conversations of one owner, each used a millisecond after the one before. */
const addConversations = (database: DatabaseSync, count: number): void => {
  const start = new VirtualClock().now();
  database.exec(`
    WITH RECURSIVE room (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM room WHERE n < ${count})
    INSERT INTO conversation (id, owner, conversation_id, settings, created_at, updated_at, version, message_count,
      cut_position, cut_turns)
    SELECT n, 'ada', 'room ' || n, '{}', ${start}, ${start} + n, 1, 0, 0, 0 FROM room`);
};

/** A clock whose timers never fire: nothing is removed by itself. */
const createStillClock = (): Clock & { move(ms: number): void } => {
  let now = Date.UTC(2026, 0, 1);
  return {
    now: () => now,
    elapsed: () => now,
    sleep: () => Promise.resolve(),
    every: () => ({ [Symbol.dispose]: () => undefined }),
    afterTurn: (callback) => void setImmediate(callback),
    move: (ms) => void (now += ms),
  };
};

/** The statements that are not prepared, from here on: transactions and settings. */
const recordStatements = (database: DatabaseSync): readonly string[] => {
  const statements: string[] = [];
  const exec = database.exec.bind(database);
  database.exec = (sql) => {
    statements.push(sql);
    exec(sql);
  };
  return statements;
};

/** The prepared statements that read, from here on, each time that they do. */
const recordReads = (database: DatabaseSync): string[] => {
  const reads: string[] = [];
  const prepare = database.prepare.bind(database);
  database.prepare = (sql, options) =>
    new Proxy(prepare(sql, options), {
      get: (statement, name) => {
        if (name === 'get' || name === 'all') reads.push(sql);
        const member: unknown = Reflect.get(statement, name);
        return typeof member === 'function' ? member.bind(statement) : member;
      },
    });
  return reads;
};

/** How SQLite goes about a statement. */
const explain = (database: DatabaseSync, sql: string): readonly unknown[] =>
  database
    .prepare(`EXPLAIN QUERY PLAN ${sql}`)
    .all()
    .map((step) => step['detail']);

const TABLES = ['conversation', 'message', 'reply', 'log', 'request'];

const countRows = (database: DatabaseSync, table: string): number =>
  Number(database.prepare(`SELECT count(*) AS count FROM ${table}`).get()?.['count']);

const countAllRows = (database: DatabaseSync): Record<string, number> =>
  Object.fromEntries(TABLES.map((table) => [table, countRows(database, table)]));

/** Leaves so much room on the disk. */
const leavePages = (database: DatabaseSync, pages: number): void => {
  const count = Number(database.prepare('PRAGMA page_count').get()?.['page_count']);
  database.exec(`PRAGMA max_page_count = ${count + pages}`);
};

/** The sequence number of the first append that found no room. */
const appendUntilFull = async ({ store }: DatabaseHarness, reply: RunningReply, text: string): Promise<number> => {
  for (let seq = 1; ; seq++) {
    try {
      expect(await store.append([toAppend(reply, seq, text)])).toStrictEqual([{ type: 'ok' }]);
    } catch (error) {
      expect(error).toBeInstanceOf(StorageFullError);
      return seq;
    }
  }
};
