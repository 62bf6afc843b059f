import type { DatabaseSync } from 'node:sqlite';
import type { Metadata } from '../../conversation/message.ts';
import type { ReplyState } from '../../conversation/reply-event.ts';
import type { Begin, ReplyRecord, Token } from '../chat-store.ts';
import { prepareQuery } from './query.ts';
import { fromStoredText, toStoredText } from '../stored-text.ts';

/** What no statement looks at. */
export interface ReplyBody extends Pick<Begin, 'replaces' | 'continues' | 'variantOf'> {
  readonly requestId: string;
  readonly model: string;
  /** Absent in what an older build has written. */
  readonly promptTokens?: number;
  readonly metadata?: Metadata;
}

/** What decides whether a reply may be written, and how it ends. */
export interface ReplyRow {
  readonly id: number;
  readonly conversation: number;
  readonly state: ReplyState;
  readonly token: Token;
  readonly seq: number;
  readonly instance: string;
  /** By `Clock.elapsed` of that instance: to any other it says nothing. */
  readonly leaseUntil: number;
  /** The position of its user message; 0 where it brought none. */
  readonly questionPosition: number;
  /** JSON of a `ReplyBody`. */
  readonly body: string;
}

interface RecordRow {
  readonly id: number;
  readonly conversation: number;
  readonly owner: string;
  readonly conversationId: string;
  readonly messageId: string;
  readonly state: ReplyState;
  readonly seq: number;
  readonly createdAt: number;
  readonly instance: string;
  readonly body: string;
  readonly answerPosition: number | null;
  readonly logUntil: number | null;
}

export interface NewReply {
  readonly messageId: string;
  readonly conversation: number;
  readonly token: Token;
  readonly instance: string;
  readonly leaseUntil: number;
  readonly now: number;
  readonly questionPosition: number;
  readonly body: ReplyBody;
}

export interface ReplyEnding {
  readonly id: number;
  readonly state: ReplyState;
  readonly seq: number;
  readonly answerPosition: number;
  readonly logUntil: number;
}

const RECORD = `
  SELECT reply.id, conversation, owner, conversation_id AS conversationId, message_id AS messageId, state, seq,
    reply.created_at AS createdAt, instance, body, answer_position AS answerPosition, log_until AS logUntil
  FROM reply JOIN conversation ON conversation.id = reply.conversation`;

/** The replies of all conversations; one that has ended stays for as long as its conversation. */
export class ReplyTable {
  readonly #find;
  readonly #findRecord;
  readonly #findAbandoned;
  readonly #insert;
  readonly #advance;
  readonly #renew;
  readonly #end;
  readonly #findExpiredLogs;
  readonly #forgetLog;

  constructor(database: DatabaseSync) {
    this.#find = prepareQuery<ReplyRow>(
      database,
      `SELECT id, conversation, state, token, seq, instance, lease_until AS leaseUntil,
         question_position AS questionPosition, body
       FROM reply WHERE message_id = :messageId`,
    );
    this.#findRecord = prepareQuery<RecordRow>(
      database,
      `${RECORD} WHERE message_id = :messageId AND (updated_at > :expired OR active_reply IS NOT NULL)`,
    );
    this.#findAbandoned = prepareQuery<RecordRow>(
      database,
      `${RECORD} WHERE state = 'running' AND (lease_until <= :elapsed OR instance <> :instance) LIMIT :limit`,
    );
    this.#insert = prepareQuery(
      database,
      `INSERT INTO reply (message_id, conversation, state, token, seq, instance, lease_until, created_at,
         question_position, body)
       VALUES (:messageId, :conversation, 'running', :token, 0, :instance, :leaseUntil, :now, :questionPosition, :body)`,
    );
    this.#advance = prepareQuery(database, 'UPDATE reply SET seq = :seq, lease_until = :leaseUntil WHERE id = :id');
    this.#renew = prepareQuery(database, 'UPDATE reply SET lease_until = :leaseUntil WHERE id = :id');
    this.#end = prepareQuery(
      database,
      `UPDATE reply SET state = :state, seq = :seq, answer_position = :answerPosition, log_until = :logUntil
       WHERE id = :id`,
    );
    this.#findExpiredLogs = prepareQuery<{ readonly id: number }>(
      database,
      'SELECT id FROM reply WHERE log_until <= :now LIMIT :limit',
    );
    this.#forgetLog = prepareQuery(database, 'UPDATE reply SET log_until = NULL WHERE id = :id');
  }

  find(messageId: string): ReplyRow | undefined {
    const row = this.#find.get({ messageId: toStoredText(messageId) });
    return row && { ...row, instance: fromStoredText(row.instance) };
  }

  /** Not found once its conversation was last used at `expired` or before. */
  findRecord(messageId: string, expired: number): RecordRow | undefined {
    return this.#findRecord.get({ messageId: toStoredText(messageId), expired });
  }

  /** Running replies whose lease has expired by `elapsed`, or which another instance began. */
  findAbandoned(instance: string, elapsed: number, limit: number): RecordRow[] {
    return this.#findAbandoned.all({ instance: toStoredText(instance), elapsed, limit });
  }

  insert({ messageId, instance, body, ...columns }: NewReply): void {
    this.#insert.run({
      ...columns,
      messageId: toStoredText(messageId),
      instance: toStoredText(instance),
      body: JSON.stringify(body),
    });
  }

  /** The log has grown to `seq`. */
  advance(id: number, seq: number, leaseUntil: number): void {
    this.#advance.run({ id, seq, leaseUntil });
  }

  renew(id: number, leaseUntil: number): void {
    this.#renew.run({ id, leaseUntil });
  }

  end(ending: ReplyEnding): void {
    this.#end.run({ ...ending });
  }

  /** Replies whose log may go, at most `limit`. */
  findExpiredLogs(now: number, limit: number): number[] {
    return this.#findExpiredLogs.all({ now, limit }).map((row) => row.id);
  }

  /** The log is gone; it need not be looked for again. */
  forgetLog(id: number): void {
    this.#forgetLog.run({ id });
  }
}

export const toReplyRecord = (row: RecordRow): ReplyRecord => ({
  owner: fromStoredText(row.owner),
  conversationId: fromStoredText(row.conversationId),
  messageId: fromStoredText(row.messageId),
  state: row.state,
  seq: row.seq,
  createdAt: row.createdAt,
  instance: fromStoredText(row.instance),
  ...toRecordBody(toReplyBody(row)),
});

const toRecordBody = (
  body: ReplyBody,
): Pick<ReplyRecord, 'requestId' | 'model' | 'promptTokens' | 'metadata' | 'continues' | 'variantOf'> => {
  const { requestId, model, promptTokens = 0, metadata, continues, variantOf } = body;
  return {
    requestId,
    model,
    promptTokens,
    ...(metadata && { metadata }),
    ...(continues && { continues: continues.messageId }),
    ...(variantOf !== undefined && { variantOf }),
  };
};

export const toReplyBody = (row: { readonly body: string }): ReplyBody => JSON.parse(row.body);
