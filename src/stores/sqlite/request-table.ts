import type { DatabaseSync } from 'node:sqlite';
import type { KnownRequest } from '../chat-store.ts';
import { prepareQuery } from './query.ts';
import { fromStoredText, toStoredText } from '../stored-text.ts';

export interface NewRequest extends KnownRequest {
  readonly conversation: number;
  readonly requestId: string;
  readonly now: number;
}

/** The request ids that each conversation has used. One that has expired is not found, removed or not. */
export class RequestTable {
  readonly #requestMs: number;
  readonly #find;
  readonly #insert;
  readonly #deleteExpired;

  constructor(database: DatabaseSync, requestMs: number) {
    this.#requestMs = requestMs;
    this.#find = prepareQuery<KnownRequest>(
      database,
      `SELECT message_id AS messageId, fingerprint FROM request
       WHERE conversation = :conversation AND request_id = :requestId AND expires_at > :now`,
    );
    // REPLACE: an expired one may still be there.
    this.#insert = prepareQuery(
      database,
      `INSERT OR REPLACE INTO request (conversation, request_id, message_id, fingerprint, expires_at)
       VALUES (:conversation, :requestId, :messageId, :fingerprint, :expiresAt)`,
    );
    this.#deleteExpired = prepareQuery(
      database,
      `DELETE FROM request WHERE (conversation, request_id) IN (
         SELECT conversation, request_id FROM request WHERE expires_at <= :now LIMIT :limit)`,
    );
  }

  find(conversation: number, requestId: string, now: number): KnownRequest | undefined {
    const row = this.#find.get({ conversation, requestId: toStoredText(requestId), now });
    return row && { messageId: fromStoredText(row.messageId), fingerprint: fromStoredText(row.fingerprint) };
  }

  insert({ conversation, requestId, messageId, fingerprint, now }: NewRequest): void {
    this.#insert.run({
      conversation,
      requestId: toStoredText(requestId),
      messageId: toStoredText(messageId),
      fingerprint: toStoredText(fingerprint),
      expiresAt: now + this.#requestMs,
    });
  }

  /** How many were removed, at most `limit`. */
  deleteExpired(now: number, limit: number): number {
    return this.#deleteExpired.run({ now, limit });
  }
}
