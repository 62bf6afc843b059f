import type { DatabaseSync } from 'node:sqlite';
import type { Conversation, ConversationKey, ConversationPatch, Cut, NewConversation } from '../chat-store.ts';
import { prepareQuery } from './query.ts';
import { fromStoredText, toStoredText } from '../stored-text.ts';
import { type ThreadRow, toReplaced, toSummaries } from './thread-table.ts';

export interface ConversationRow extends ThreadRow {
  readonly id: number;
  readonly owner: string;
  readonly conversationId: string;
  readonly settings: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly version: number;
  readonly activeReply: string | null;
  readonly answeredBy: string | null;
  readonly cutTurns: number;
}

/** What is not looked at by any statement. */
type Settings = Pick<Conversation, 'title' | 'systemPrompt' | 'metadata' | 'model'>;

export interface Turn {
  readonly conversation: ConversationRow;
  readonly activeReply: string;
  /** Whether there is a new user message. */
  readonly asks: boolean;
  /** Absent, it stays where it is. */
  readonly cut: Cut | undefined;
  /** Kept only while the conversation has no turn. */
  readonly systemPrompt: string | undefined;
  readonly now: number;
}

export interface TurnEnd {
  /** Whether there is a new assistant message. */
  readonly answers: boolean;
  /** Undefined keeps what was there. */
  readonly answeredBy: string | undefined;
  readonly now: number;
}

/** A place in an owner's list, which runs from the last used to the first. */
export interface ListPlace {
  readonly updatedAt: number;
  readonly id: number;
}

const ROW = `
  SELECT id, owner, conversation_id AS conversationId, settings, created_at AS createdAt, updated_at AS updatedAt,
    version, message_count AS messageCount, active_reply AS activeReply, answered_by AS answeredBy,
    cut_position AS cutPosition, cut_turns AS cutTurns, replaced, summaries
  FROM conversation`;

/** The conversations themselves. One that has outlived `conversationMs` is not found, removed or not. */
export class ConversationTable {
  readonly #conversationMs: number;
  readonly #find;
  readonly #list;
  readonly #insert;
  readonly #update;
  readonly #delete;
  readonly #deleteExpired;
  readonly #beginTurn;
  readonly #endTurn;

  constructor(database: DatabaseSync, conversationMs: number) {
    this.#conversationMs = conversationMs;
    this.#find = prepareQuery<ConversationRow>(
      database,
      `${ROW} WHERE owner = :owner AND conversation_id = :conversationId
         AND (updated_at > :expired OR active_reply IS NOT NULL)`,
    );
    this.#list = prepareQuery<ConversationRow>(
      database,
      `${ROW} WHERE owner = :owner AND (updated_at, id) < (:updatedAt, :id)
         AND (updated_at > :expired OR active_reply IS NOT NULL)
       ORDER BY updated_at DESC, id DESC LIMIT :limit`,
    );
    this.#insert = prepareQuery(
      database,
      `INSERT INTO conversation (owner, conversation_id, settings, created_at, updated_at, version, message_count,
         cut_position, cut_turns)
       VALUES (:owner, :conversationId, :settings, :now, :now, :version, 0, 0, 0)`,
    );
    this.#update = prepareQuery(
      database,
      'UPDATE conversation SET settings = :settings, updated_at = :now, version = :version WHERE id = :id',
    );
    this.#delete = prepareQuery(
      database,
      'DELETE FROM conversation WHERE owner = :owner AND conversation_id = :conversationId',
    );
    this.#deleteExpired = prepareQuery(
      database,
      `DELETE FROM conversation WHERE id IN (
         SELECT id FROM conversation WHERE active_reply IS NULL AND updated_at <= :expired LIMIT :limit)`,
    );
    this.#beginTurn = prepareQuery(
      database,
      `UPDATE conversation SET settings = :settings, updated_at = :now, version = version + 1,
         message_count = message_count + :asked, active_reply = :activeReply, cut_position = :cutPosition,
         cut_turns = :cutTurns
       WHERE id = :id`,
    );
    this.#endTurn = prepareQuery<{ readonly messageCount: number }>(
      database,
      `UPDATE conversation SET updated_at = :now, version = version + 1,
         message_count = message_count + :answered, active_reply = NULL, answered_by = coalesce(:answeredBy, answered_by)
       WHERE id = :id RETURNING message_count AS messageCount`,
    );
  }

  find(key: ConversationKey, now: number): ConversationRow | undefined {
    return this.#find.get({ ...toStoredKey(key), expired: this.toExpired(now) });
  }

  /** An owner's conversations after a place in the list, at most `limit`. */
  list(
    owner: string,
    after: ListPlace,
    { now, limit }: { readonly now: number; readonly limit: number },
  ): ConversationRow[] {
    return this.#list.all({ owner: toStoredText(owner), ...after, expired: this.toExpired(now), limit });
  }

  /** There must be none that `find` finds; one that has expired gives way. `version` is its first. */
  create({ systemPrompt, metadata, model, ...key }: NewConversation, version: number, now: number): ConversationRow {
    this.delete(key);
    const settings = JSON.stringify({ systemPrompt, metadata, model });
    this.#insert.run({ ...toStoredKey(key), settings, version, now });
    const row = this.find(key, now);
    if (!row) throw new Error('A conversation that has just been inserted is not there.');
    return row;
  }

  /** Changes the settings that the patch names. */
  update(row: ConversationRow, patch: ConversationPatch, now: number): void {
    const before = toSettings(row);
    const after = withPatch(before, patch);
    const isNewPrompt = after.systemPrompt !== before.systemPrompt;
    this.#update.run({ id: row.id, settings: JSON.stringify(after), version: row.version + Number(isNewPrompt), now });
  }

  /** Removes it with everything that belongs to it; whether it was there. */
  delete(key: ConversationKey): boolean {
    return this.#delete.run(toStoredKey(key)) > 0;
  }

  /** How many were removed, at most `limit`. */
  deleteExpired(now: number, limit: number): number {
    return this.#deleteExpired.run({ expired: this.toExpired(now), limit });
  }

  /** Takes in a user message, where there is one, and the reply that runs. */
  beginTurn({ conversation, activeReply, asks, cut, systemPrompt, now }: Turn): void {
    const isFirst = conversation.messageCount === 0 && systemPrompt !== undefined;
    this.#beginTurn.run({
      id: conversation.id,
      settings: isFirst ? JSON.stringify({ ...toSettings(conversation), systemPrompt }) : conversation.settings,
      now,
      activeReply: toStoredText(activeReply),
      asked: Number(asks),
      ...toForwardCut(conversation, cut),
    });
  }

  /** Takes in the reply's end, and gives back how many messages there are then. */
  endTurn(id: number, { answers, answeredBy, now }: TurnEnd): number {
    const stored = answeredBy === undefined ? null : toStoredText(answeredBy);
    const row = this.#endTurn.get({ id, answered: Number(answers), answeredBy: stored, now });
    if (!row) throw new Error('A reply that runs has no conversation.');
    return row.messageCount;
  }

  /** The last instant at which a conversation may have been used to have expired by `now`. */
  toExpired(now: number): number {
    return now - this.#conversationMs;
  }
}

/** The `message_id` of the reply that runs. */
export const toActiveReply = (row: ConversationRow): string | undefined =>
  row.activeReply === null ? undefined : fromStoredText(row.activeReply);

export const toConversation = (row: ConversationRow): Conversation => ({
  owner: fromStoredText(row.owner),
  conversationId: fromStoredText(row.conversationId),
  ...toSettings(row),
  createdAt: row.createdAt,
  updatedAt: row.updatedAt,
  messageCount: row.messageCount,
  ...(row.activeReply === null ? {} : { activeReply: fromStoredText(row.activeReply) }),
  ...(row.answeredBy === null ? {} : { answeredBy: fromStoredText(row.answeredBy) }),
  cut: { position: row.cutPosition, droppedTurns: row.cutTurns },
  replaced: toReplaced(row),
  summaries: toSummaries(row),
  version: row.version,
});

const toStoredKey = (key: ConversationKey): { readonly owner: string; readonly conversationId: string } => ({
  owner: toStoredText(key.owner),
  conversationId: toStoredText(key.conversationId),
});

const toSettings = (row: ConversationRow): Settings => JSON.parse(row.settings);

/** What the patch does not name stays; null takes away. */
const withPatch = (settings: Settings, patch: ConversationPatch): Settings => {
  const changed = { ...settings, ...patch };
  const { title, systemPrompt, metadata, model } = changed;
  return {
    ...(title != null && { title }),
    ...(systemPrompt != null && { systemPrompt }),
    ...(metadata != null && { metadata }),
    ...(model !== undefined && { model }),
  };
};

/** A cut never moves back here: what was left out once stays so. */
const toForwardCut = (
  row: ConversationRow,
  cut: Cut | undefined,
): { readonly cutPosition: number; readonly cutTurns: number } =>
  cut && cut.position > row.cutPosition
    ? { cutPosition: cut.position, cutTurns: cut.droppedTurns }
    : { cutPosition: row.cutPosition, cutTurns: row.cutTurns };
