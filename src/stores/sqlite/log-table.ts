import type { DatabaseSync } from 'node:sqlite';
import type { LogEntry, ReplyEvent } from '../../conversation/reply-event.ts';
import { prepareQuery } from './query.ts';

interface LogRow {
  readonly seq: number;
  /** JSON of a `ReplyEvent`. */
  readonly event: string;
}

/** The events of replies, each known by its reply's row and its sequence number. */
export class LogTable {
  readonly #insert;
  readonly #read;
  readonly #delete;

  constructor(database: DatabaseSync) {
    this.#insert = prepareQuery(database, 'INSERT INTO log (reply, seq, event) VALUES (:reply, :seq, :event)');
    this.#read = prepareQuery<LogRow>(
      database,
      'SELECT seq, event FROM log WHERE reply = :reply AND seq > :after ORDER BY seq LIMIT :limit',
    );
    this.#delete = prepareQuery(database, 'DELETE FROM log WHERE reply = :reply');
  }

  /** Writes events from `seq` on; the sequence numbers must be free. */
  insert(reply: number, seq: number, events: readonly ReplyEvent[]): void {
    for (const [index, event] of events.entries()) {
      this.#insert.run({ reply, seq: seq + index, event: JSON.stringify(event) });
    }
  }

  /** Entries after `after`, oldest first, at most `limit`; -1 is all. */
  read(reply: number, after: number, limit: number): LogEntry[] {
    return this.#read.all({ reply, after, limit }).map(({ seq, event }) => ({ seq, event: JSON.parse(event) }));
  }

  delete(reply: number): void {
    this.#delete.run({ reply });
  }
}
