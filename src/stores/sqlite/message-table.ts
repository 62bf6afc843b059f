import type { DatabaseSync } from 'node:sqlite';
import type { AssistantMessage, Message, StoredMessage } from '../../conversation/message.ts';
import type { MessageRange } from '../chat-store.ts';
import { prepareQuery } from './query.ts';

interface MessageRow {
  readonly position: number;
  /** JSON of a `Message`. */
  readonly body: string;
}

export interface NewMessage {
  readonly conversation: number;
  readonly position: number;
  readonly sendable: boolean;
  readonly message: Message;
}

/** The messages of all conversations, each known by its conversation's row and its position. */
export class MessageTable {
  readonly #insert;
  readonly #hide;
  readonly #rewrite;
  readonly #hideAll;
  readonly #show;
  readonly #find;
  readonly #page;
  readonly #window;
  readonly #lastInWindow;

  constructor(database: DatabaseSync) {
    this.#insert = prepareQuery(
      database,
      'INSERT INTO message (conversation, position, sendable, body) VALUES (:conversation, :position, :sendable, :body)',
    );
    this.#hide = prepareQuery(
      database,
      'UPDATE message SET sendable = 0 WHERE conversation = :conversation AND position = :position',
    );
    this.#rewrite = prepareQuery(
      database,
      'UPDATE message SET body = :body WHERE conversation = :conversation AND position = :position',
    );
    // Two statements, each by its index: rows that stay as they are, bodies and all, are not written again.
    this.#hideAll = prepareQuery(
      database,
      `UPDATE message INDEXED BY message_sendable SET sendable = 0
       WHERE conversation = :conversation AND sendable = 1 AND position > :after
         AND position NOT IN (SELECT value FROM json_each(:positions))`,
    );
    this.#show = prepareQuery(
      database,
      `UPDATE message SET sendable = 1
       WHERE conversation = :conversation AND sendable = 0 AND position IN (SELECT value FROM json_each(:positions))`,
    );
    this.#find = prepareQuery<MessageRow>(
      database,
      'SELECT position, body FROM message WHERE conversation = :conversation AND position = :position',
    );
    this.#page = prepareQuery<MessageRow>(
      database,
      `SELECT position, body FROM message WHERE conversation = :conversation AND position < :before
       ORDER BY position DESC LIMIT :limit`,
    );
    // By its index: a long row of turns that cannot be sent must cost nothing.
    this.#window = prepareQuery<MessageRow>(
      database,
      `SELECT position, body FROM message INDEXED BY message_sendable
       WHERE conversation = :conversation AND sendable = 1 AND position > :after ORDER BY position`,
    );
    this.#lastInWindow = prepareQuery<Pick<MessageRow, 'position'>>(
      database,
      `SELECT position FROM message INDEXED BY message_sendable
       WHERE conversation = :conversation AND sendable = 1 AND position > :after ORDER BY position DESC LIMIT 1`,
    );
  }

  insert({ conversation, position, sendable, message }: NewMessage): void {
    this.#insert.run({ conversation, position, sendable: Number(sendable), body: JSON.stringify(message) });
  }

  /** Keeps a message out of every later window. */
  hide(conversation: number, position: number): void {
    this.#hide.run({ conversation, position });
  }

  /** Puts another message in the place of one. */
  rewrite(conversation: number, position: number, message: Message): void {
    this.#rewrite.run({ conversation, position, body: JSON.stringify(message) });
  }

  /** Makes these positions the window after `after`: no other is in it. */
  showOnly(conversation: number, after: number, positions: readonly number[]): void {
    const shown = JSON.stringify(positions);
    this.#hideAll.run({ conversation, after, positions: shown });
    this.#show.run({ conversation, positions: shown });
  }

  /** The newest `limit` messages below `before`, oldest first. */
  loadPage(conversation: number, { before = Number.MAX_SAFE_INTEGER, limit }: MessageRange): StoredMessage[] {
    return this.#page.all({ conversation, before, limit }).map(toStoredMessage).toReversed();
  }

  /** The sendable messages after a position, oldest first. */
  loadWindow(conversation: number, after: number): StoredMessage[] {
    return this.#window.all({ conversation, after }).map(toStoredMessage);
  }

  /** The position of the newest sendable message after a position. */
  findLastInWindow(conversation: number, after: number): number | undefined {
    return this.#lastInWindow.get({ conversation, after })?.position;
  }

  /** The message of a reply; its position must be one of an assistant message. */
  loadAnswer(conversation: number, position: number): AssistantMessage | undefined {
    const row = this.#find.get({ conversation, position });
    return row && JSON.parse(row.body);
  }
}

const toStoredMessage = ({ position, body }: MessageRow): StoredMessage => {
  const message: Message = JSON.parse(body);
  return { ...message, position };
};
