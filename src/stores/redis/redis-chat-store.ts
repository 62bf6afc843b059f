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
  SealAnswer,
  Summary,
} from '../chat-store.ts';
import { listConversations } from './conversation-list.ts';
import {
  createConversation,
  deleteConversation,
  keepSummary,
  loadConversation,
  loadMessages,
  openConversation,
  updateConversation,
} from './conversations.ts';
import { toConversationPlace, toMessageIdPrefix } from './keys.ts';
import type { NudgeSubscriber } from './nudge-subscriber.ts';
import type { RedisParts } from './redis-parts.ts';
import { findAbandoned, loadReply, loadReplyMessage, readLog } from './reply-reading.ts';
import { appendEvents, beginReply, cancelReply, finishReply, renewLeases, sealReply } from './reply-writing.ts';
import { findRisks } from './risks.ts';

/**
 * The chat store in Redis, for any number of instances. A change of state is one script, which is atomic; what it
 * touches lies in one slot, so that the same scripts serve one primary and a Cluster. The server's clock alone decides
 * about leases and expiry.
 */
export class RedisChatStore implements ChatStore {
  readonly #parts: RedisParts;
  readonly #subscriber: NudgeSubscriber;

  /** Both are the store's own from here on. */
  constructor(parts: RedisParts, subscriber: NudgeSubscriber) {
    this.#parts = parts;
    this.#subscriber = subscriber;
  }

  async ping(): Promise<void> {
    await this.#parts.connection.ping();
  }

  async findRisks(): Promise<readonly string[]> {
    return findRisks(this.#parts.connection);
  }

  async createConversation(
    conversation: NewConversation,
  ): Promise<{ readonly type: 'created'; readonly conversation: Conversation } | { readonly type: 'exists' }> {
    return createConversation(this.#parts, conversation);
  }

  async loadConversation(key: ConversationKey): Promise<Conversation | undefined> {
    return loadConversation(this.#parts, key);
  }

  async loadMessages(key: ConversationKey, range: MessageRange): Promise<readonly StoredMessage[] | undefined> {
    return loadMessages(this.#parts, key, range);
  }

  async listConversations(owner: string, page: PageRequest): Promise<ConversationPage> {
    return listConversations(this.#parts, owner, page);
  }

  async updateConversation(
    key: ConversationKey,
    patch: ConversationPatch,
  ): Promise<{ readonly type: 'updated'; readonly conversation: Conversation } | { readonly type: 'gone' }> {
    return updateConversation(this.#parts, key, patch);
  }

  async keepSummary(
    key: ConversationKey,
    summary: Summary,
    expectedReplaced: readonly PositionRange[],
  ): Promise<{ readonly type: 'kept' | 'stale' | 'gone' }> {
    return keepSummary(this.#parts, key, { summary, expectedReplaced });
  }

  async deleteConversation(key: ConversationKey): Promise<{ readonly type: 'deleted' | 'gone' }> {
    return deleteConversation(this.#parts, key);
  }

  toMessageId(key: ConversationKey, random: string): string {
    return toMessageIdPrefix(toConversationPlace(key)) + random;
  }

  async open(key: ConversationKey, requestId: string): Promise<Opened> {
    return openConversation(this.#parts, key, requestId);
  }

  async begin(begin: Begin): Promise<BeginAnswer> {
    return beginReply(this.#parts, begin);
  }

  async append(appends: readonly Append[]): Promise<readonly AppendAnswer[]> {
    return appendEvents(this.#parts, appends);
  }

  async finish(finish: Finish): Promise<AppendAnswer> {
    return finishReply(this.#parts, finish);
  }

  async cancel(closing: Closing): Promise<CloseAnswer> {
    return cancelReply(this.#parts, closing);
  }

  async renew(leases: readonly Lease[]): Promise<readonly RenewAnswer[]> {
    return renewLeases(this.#parts, leases);
  }

  async findAbandoned(limit: number): Promise<readonly ReplyRecord[]> {
    return findAbandoned(this.#parts, limit);
  }

  async seal(closing: Closing): Promise<SealAnswer> {
    return sealReply(this.#parts, closing);
  }

  async loadReply(messageId: string): Promise<ReplyRecord | undefined> {
    return loadReply(this.#parts, messageId);
  }

  async readLog(messageId: string, after: number, limit: number): Promise<readonly LogEntry[]> {
    return readLog(this.#parts, { messageId, after, limit });
  }

  watch(messageId: string, onNudge: () => void): Disposable {
    return this.#subscriber.watch(messageId, onNudge);
  }

  async loadReplyMessage(messageId: string): Promise<AssistantMessage | undefined> {
    return loadReplyMessage(this.#parts, messageId);
  }

  /** Hangs up. What is under way, and what is asked later, is unavailable. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#subscriber[Symbol.dispose]();
    this.#parts.connection.disconnect();
  }
}
