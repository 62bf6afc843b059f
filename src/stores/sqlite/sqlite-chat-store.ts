import type { DatabaseSync } from 'node:sqlite';
import type { Clock, Ids } from '../../clock.ts';
import type { AssistantMessage, StoredMessage } from '../../conversation/message.ts';
import type { LogEntry } from '../../conversation/reply-event.ts';
import type {
  Append,
  AppendAnswer,
  Begin,
  BeginAnswer,
  ChatStore,
  CloseAnswer,
  Closing,
  Conversation,
  ConversationKey,
  ConversationPage,
  ConversationPatch,
  Finish,
  Lease,
  MessageRange,
  NewConversation,
  Opened,
  PageRequest,
  PositionRange,
  RenewAnswer,
  ReplyRecord,
  Retention,
  SealAnswer,
  Summary,
} from '../chat-store.ts';
import { DEFAULT_RETENTION, MINUTE_MS } from '../chat-store.ts';
import { encodeCursor, parseCursor } from '../cursor.ts';
import { Nudges } from '../nudges.ts';
import { toFirstVersion } from '../versions.ts';
import { appendEvents, renewLease } from './append.ts';
import { beginReply } from './begin.ts';
import { type ListPlace, toActiveReply, toConversation } from './conversation-table.ts';
import { cancelReply, finishReply, sealReply } from './ending.ts';
import { removeExpired } from './expiry.ts';
import { GroupCommit } from './group-commit.ts';
import { keepSummary } from './summary.ts';
import { toReplyRecord } from './reply-table.ts';
import { configureDatabase, loadSchemaVersion, migrate } from './schema.ts';
import { withStorageErrors } from './storage-error.ts';
import { createTables, type StoreParts, type Tables } from './tables.ts';

export interface SqliteChatStoreOptions {
  /** Open, and from here on the store's own. */
  readonly database: DatabaseSync;
  readonly clock: Clock;
  readonly ids: Ids;
  /** The name of this process; replies that another one began have lost their writer. */
  readonly instance: string;
  readonly retention?: Retention;
  /** Disposed after the database is closed. */
  readonly lock?: Disposable;
  /** Hears why what has expired could not be removed; it is tried again a minute later. */
  readonly onSweepError?: (error: unknown) => void;
}

/**
 * The chat store in one SQLite file, for one process. Writes of one turn of the loop are committed together
 * (`GroupCommit`): those that begin or end something survive a power cut, appended events a kill of the process.
 * Reads run at once and see all that was acknowledged.
 */
export class SqliteChatStore implements ChatStore {
  readonly #database: DatabaseSync;
  readonly #commits: GroupCommit;
  readonly #tables: Tables;
  readonly #parts: StoreParts;
  readonly #nudges = new Nudges();
  readonly #sweep: Disposable;
  readonly #lock: Disposable | undefined;

  /** Brings the schema up to date; throws `StorageUnavailableError` where the file is of a newer build. */
  constructor(options: SqliteChatStoreOptions) {
    const { database, clock, ids, instance, retention = DEFAULT_RETENTION, lock, onSweepError } = options;
    withStorageErrors(() => {
      migrate(database);
      configureDatabase(database);
    });
    this.#database = database;
    this.#commits = new GroupCommit(database, clock);
    this.#tables = createTables(database, retention);
    this.#parts = { tables: this.#tables, clock, ids, instance, retention };
    this.#lock = lock;
    this.#sweep = clock.every(
      MINUTE_MS,
      () => void this.removeExpired().catch((error: unknown) => onSweepError?.(error)),
    );
  }

  async ping(): Promise<void> {
    withStorageErrors(() => loadSchemaVersion(this.#database));
  }

  /** The file is this process's own, and how it is set up is this store's doing. */
  async findRisks(): Promise<readonly string[]> {
    return [];
  }

  async createConversation(
    conversation: NewConversation,
  ): Promise<{ readonly type: 'created'; readonly conversation: Conversation } | { readonly type: 'exists' }> {
    return this.#commits.run('power', () => {
      const now = this.#parts.clock.now();
      if (this.#tables.conversations.find(conversation, now)) return { type: 'exists' } as const;
      const row = this.#tables.conversations.create(conversation, toFirstVersion(this.#parts.ids), now);
      return { type: 'created', conversation: toConversation(row) } as const;
    });
  }

  async loadConversation(key: ConversationKey): Promise<Conversation | undefined> {
    return this.#read((now) => {
      const row = this.#tables.conversations.find(key, now);
      return row && toConversation(row);
    });
  }

  async loadMessages(key: ConversationKey, range: MessageRange): Promise<readonly StoredMessage[] | undefined> {
    return this.#read((now) => {
      const row = this.#tables.conversations.find(key, now);
      return row && this.#tables.messages.loadPage(row.id, range);
    });
  }

  async listConversations(owner: string, { cursor, limit }: PageRequest): Promise<ConversationPage> {
    const after = cursor === undefined ? BEFORE_ALL : toListPlace(cursor);
    return this.#read((now) => {
      const rows = this.#tables.conversations.list(owner, after, { now, limit: limit + 1 }); // one more: is there a next page?
      const page = rows.slice(0, limit);
      const last = rows.length > limit ? page.at(-1) : undefined;
      return {
        conversations: page.map(toConversation),
        ...(last && { nextCursor: encodeCursor({ updatedAt: last.updatedAt, id: String(last.id) }) }),
      };
    });
  }

  async updateConversation(
    key: ConversationKey,
    patch: ConversationPatch,
  ): Promise<{ readonly type: 'updated'; readonly conversation: Conversation } | { readonly type: 'gone' }> {
    return this.#commits.run('power', () => {
      const { conversations } = this.#tables;
      const now = this.#parts.clock.now();
      const before = conversations.find(key, now);
      if (before) conversations.update(before, patch, now);
      const after = before && conversations.find(key, now);
      return after ? { type: 'updated', conversation: toConversation(after) } : { type: 'gone' };
    });
  }

  async keepSummary(
    key: ConversationKey,
    summary: Summary,
    expectedReplaced: readonly PositionRange[],
  ): Promise<{ readonly type: 'kept' | 'stale' | 'gone' }> {
    return this.#commits.run('process', () => keepSummary(this.#parts, key, { summary, expectedReplaced }));
  }

  async deleteConversation(key: ConversationKey): Promise<{ readonly type: 'deleted' | 'gone' }> {
    const row = await this.#commits.run('power', () => {
      const found = this.#tables.conversations.find(key, this.#parts.clock.now());
      this.#tables.conversations.delete(key);
      return found;
    });
    const active = row && toActiveReply(row);
    if (active !== undefined) this.#nudges.nudge(active);
    return { type: row ? 'deleted' : 'gone' };
  }

  toMessageId(_key: ConversationKey, random: string): string {
    return `msg_${random}`;
  }

  async open(key: ConversationKey, requestId: string): Promise<Opened> {
    return this.#read((now) => {
      const row = this.#tables.conversations.find(key, now);
      if (!row) return { window: [] };
      const request = this.#tables.requests.find(row.id, requestId, now);
      const window = this.#tables.messages.loadWindow(row.id, row.cutPosition);
      return { conversation: toConversation(row), window, ...(request && { request }) };
    });
  }

  async begin(begin: Begin): Promise<BeginAnswer> {
    return this.#commits.run('power', () => beginReply(this.#parts, begin));
  }

  async append(appends: readonly Append[]): Promise<readonly AppendAnswer[]> {
    const answers = await this.#commits.run('process', () =>
      appends.map((append) => appendEvents(this.#parts, append)),
    );
    for (const [index, { messageId }] of appends.entries()) this.#nudge(messageId, answers[index]);
    return answers;
  }

  async finish(finish: Finish): Promise<AppendAnswer> {
    const answer = await this.#commits.run('power', () => finishReply(this.#parts, finish));
    return this.#nudge(finish.messageId, answer);
  }

  async cancel(closing: Closing): Promise<CloseAnswer> {
    const answer = await this.#commits.run('power', () => cancelReply(this.#parts, closing));
    return this.#nudge(closing.messageId, answer);
  }

  async renew(leases: readonly Lease[]): Promise<readonly RenewAnswer[]> {
    return this.#commits.run('process', () => leases.map((lease) => renewLease(this.#parts, lease)));
  }

  async findAbandoned(limit: number): Promise<readonly ReplyRecord[]> {
    const { clock, instance } = this.#parts;
    return this.#read(() =>
      this.#tables.replies.findAbandoned(instance, clock.elapsed(), limit).map((row) => toReplyRecord(row)),
    );
  }

  async seal(closing: Closing): Promise<SealAnswer> {
    const answer = await this.#commits.run('power', () => sealReply(this.#parts, closing));
    return this.#nudge(closing.messageId, answer);
  }

  async loadReply(messageId: string): Promise<ReplyRecord | undefined> {
    return this.#read((now) => {
      const row = this.#findRecord(messageId, now);
      return row && toReplyRecord(row);
    });
  }

  async readLog(messageId: string, after: number, limit: number): Promise<readonly LogEntry[]> {
    return this.#read((now) => {
      const row = this.#findRecord(messageId, now);
      const isOver = !row || (row.logUntil !== null && row.logUntil <= now);
      return isOver ? [] : this.#tables.log.read(row.id, after, limit);
    });
  }

  watch(messageId: string, onNudge: () => void): Disposable {
    this.#parts.clock.afterTurn(() => this.#nudges.nudge(messageId));
    return this.#nudges.add(messageId, onNudge);
  }

  async loadReplyMessage(messageId: string): Promise<AssistantMessage | undefined> {
    return this.#read((now) => {
      const row = this.#findRecord(messageId, now);
      const isEnded = row !== undefined && row.answerPosition !== null;
      return isEnded ? this.#tables.messages.loadAnswer(row.conversation, row.answerPosition) : undefined;
    });
  }

  /** Removes what has outlived its retention. The store does so by itself, every minute. */
  async removeExpired(): Promise<void> {
    await removeExpired(this.#parts, this.#commits);
  }

  /** Commits what is under way, then lets go of the file. What is asked of the store later is unavailable. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#database.isOpen) return;
    this.#sweep[Symbol.dispose]();
    this.#commits.flush();
    this.#database.close();
    this.#lock?.[Symbol.dispose]();
  }

  /** Tells the watchers of a reply that its log has grown, where it has. */
  #nudge<Answer extends { readonly type: string } | undefined>(messageId: string, answer: Answer): Answer {
    if (answer?.type === 'ok') this.#nudges.nudge(messageId);
    return answer;
  }

  #findRecord(messageId: string, now: number): ReturnType<Tables['replies']['findRecord']> {
    return this.#tables.replies.findRecord(messageId, this.#tables.conversations.toExpired(now));
  }

  #read<Result>(read: (now: number) => Result): Result {
    return withStorageErrors(() => read(this.#parts.clock.now()));
  }
}

const BEFORE_ALL: ListPlace = { updatedAt: Number.MAX_SAFE_INTEGER, id: 0 };

const toListPlace = (cursor: string): ListPlace => {
  const { updatedAt, id } = parseCursor(cursor);
  return { updatedAt, id: Number(id) };
};
