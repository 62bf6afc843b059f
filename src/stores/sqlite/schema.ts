import type { DatabaseSync } from 'node:sqlite';
import { StorageUnavailableError } from '../../errors.ts';

// A column is what a statement looks at; all else of a thing is JSON in one column. Times are milliseconds since
// 1970, UTC. Compared texts are spelled by `toStoredText`. What belongs to a conversation goes with it (CASCADE).
const FIRST_SCHEMA = `
  CREATE TABLE conversation (
    id INTEGER PRIMARY KEY,
    owner TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    settings TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    message_count INTEGER NOT NULL,
    active_reply TEXT,
    answered_by TEXT,
    cut_position INTEGER NOT NULL,
    cut_turns INTEGER NOT NULL,
    UNIQUE (owner, conversation_id)
  ) STRICT;
  CREATE INDEX conversation_age ON conversation (updated_at) WHERE active_reply IS NULL;

  CREATE TABLE message (
    conversation INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    sendable INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (conversation, position)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX message_sendable ON message (conversation, position) WHERE sendable = 1;

  CREATE TABLE reply (
    id INTEGER PRIMARY KEY,
    message_id TEXT NOT NULL UNIQUE,
    conversation INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    state TEXT NOT NULL,
    token TEXT NOT NULL,
    seq INTEGER NOT NULL,
    instance TEXT NOT NULL,
    lease_until INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    log_until INTEGER,
    question_position INTEGER NOT NULL,
    answer_position INTEGER,
    body TEXT NOT NULL
  ) STRICT;
  CREATE INDEX reply_conversation ON reply (conversation);
  CREATE INDEX reply_running ON reply (instance) WHERE state = 'running';
  CREATE INDEX reply_log_age ON reply (log_until) WHERE log_until IS NOT NULL;

  CREATE TABLE log (
    reply INTEGER NOT NULL REFERENCES reply (id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    event TEXT NOT NULL,
    PRIMARY KEY (reply, seq)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE request (
    conversation INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    request_id TEXT NOT NULL,
    message_id TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (conversation, request_id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX request_age ON request (expires_at);
`;

// A page of an owner's conversations is read off this index, wherever it begins.
const CONVERSATION_LIST = 'CREATE INDEX conversation_use ON conversation (owner, updated_at, id)';

// What another answer or an edit has taken the place of, and summaries: JSON, as no statement looks at them.
const THREAD = `
  ALTER TABLE conversation ADD COLUMN replaced TEXT NOT NULL DEFAULT '[]';
  ALTER TABLE conversation ADD COLUMN summaries TEXT NOT NULL DEFAULT '[]'`;

/** What leads from each version to the next, from an empty file on. Only ever added to. */
const MIGRATIONS: readonly string[] = [FIRST_SCHEMA, CONVERSATION_LIST, THREAD];

/** The version of the schema that this build reads and writes. */
export const SCHEMA_VERSION = MIGRATIONS.length;

/** The version of the schema in the file; 0 for an empty one. */
export const loadSchemaVersion = (database: DatabaseSync): number =>
  Number(database.prepare('PRAGMA user_version').get()?.['user_version']);

/** Throws `StorageUnavailableError` where the file is of a newer build; it changes nothing. */
export const refuseNewerSchema = (database: DatabaseSync): void => {
  const version = loadSchemaVersion(database);
  if (version <= SCHEMA_VERSION) return;
  throw new StorageUnavailableError(
    `The chat store ${database.location() ?? ''} has schema version ${version}, and this build knows versions up to ` +
      `${SCHEMA_VERSION}. Start the newer build that wrote it, or set DATA_DIR to another folder.`,
  );
};

/** Brings the schema to this build's version, one step and one transaction at a time. */
export const migrate = (database: DatabaseSync): void => {
  refuseNewerSchema(database);
  for (const [from, step] of MIGRATIONS.entries()) {
    if (from < loadSchemaVersion(database)) continue;
    database.exec(`BEGIN IMMEDIATE; ${step}; PRAGMA user_version = ${from + 1}; COMMIT`);
  }
};

/** A waiting writer holds up the whole process; nobody else should write to the file anyway. */
const BUSY_TIMEOUT_MS = 50;

/** What the write-ahead log may leave on the disk after a burst. */
const WAL_BYTES = 64 * 1024 * 1024;

/** Sets what SQLite keeps per connection, and the write-ahead log, with which readers never wait for the writer. */
export const configureDatabase = (database: DatabaseSync): void => {
  database.exec(`
    PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS};
    PRAGMA foreign_keys = ON;
    PRAGMA journal_mode = WAL;
    PRAGMA journal_size_limit = ${WAL_BYTES};
  `);
};
