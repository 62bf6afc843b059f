import type { DatabaseSync } from 'node:sqlite';
import type { Clock, Ids } from '../../clock.ts';
import type { Retention } from '../chat-store.ts';
import { ConversationTable } from './conversation-table.ts';
import { LogTable } from './log-table.ts';
import { MessageTable } from './message-table.ts';
import { ReplyTable } from './reply-table.ts';
import { RequestTable } from './request-table.ts';
import { ThreadTable } from './thread-table.ts';

/** The tables know SQL and no rules; the operations (`begin.ts`, `append.ts`, `ending.ts`) know the rules. */
export interface Tables {
  readonly conversations: ConversationTable;
  readonly threads: ThreadTable;
  readonly messages: MessageTable;
  readonly requests: RequestTable;
  readonly replies: ReplyTable;
  readonly log: LogTable;
}

/** What an operation works with. */
export interface StoreParts {
  readonly tables: Tables;
  readonly clock: Clock;
  readonly ids: Ids;
  /** The process that has the store: one per data folder. */
  readonly instance: string;
  readonly retention: Retention;
}

/** Prepares all statements; the schema must be there. */
export const createTables = (database: DatabaseSync, retention: Retention): Tables => ({
  conversations: new ConversationTable(database, retention.conversationMs),
  threads: new ThreadTable(database),
  messages: new MessageTable(database),
  requests: new RequestTable(database, retention.requestMs),
  replies: new ReplyTable(database),
  log: new LogTable(database),
});
