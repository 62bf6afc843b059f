import type { Clock } from '../clock.ts';
import { ConversationExistsError, InvalidRequestError, NotFoundError } from '../errors.ts';
import type { AssistantMessage, Message, Metadata, StoredMessage } from '../conversation/message.ts';
import { WINDOW_MS, type Quota } from '../limits/quota.ts';
import type { Replies } from '../replies/replies.ts';
import type { ChatStore, Conversation, ConversationKey, ConversationPatch } from '../stores/chat-store.ts';
import { ANONYMOUS } from '../conversation/owner.ts';
import { findRange } from './thread.ts';
import { toChargeName, toSpentName } from './turn.ts';
import type { ModelDirectory } from './model-directory.ts';
import { toConversationView, type ConversationView } from './results.ts';

export interface OwnerOption {
  /** Whose conversation it is; `anonymous` by default. */
  readonly owner?: string;
  /** Who is limited; the owner by default. */
  readonly caller?: string;
}

export interface WatchOptions extends OwnerOption {
  /** Ends the watching; the reply goes on. */
  readonly signal?: AbortSignal;
}

export interface CreateOptions extends OwnerOption {
  readonly metadata?: Metadata;
  /** Asked for when a request names none. */
  readonly model?: string;
}

export interface PageOptions extends OwnerOption {
  /** Only messages at positions below it. */
  readonly before?: number;
  /** 50 by default. */
  readonly limit?: number;
}

export interface ListOptions extends OwnerOption {
  /** Of the page before; absent is the first. */
  readonly cursor?: string;
  /** 50 by default. */
  readonly limit?: number;
}

export interface ConversationList {
  readonly conversations: readonly ConversationView[];
  /** Asks for the page after; absent when there is none. */
  readonly nextCursor?: string;
}

export type CreatedConversation = ConversationView & { readonly messages: readonly Message[] };

/** A message, and whether it is in force: false when an edit or another answer has taken its place. */
export type ListedMessage = StoredMessage & { readonly active: boolean };

export interface MessagePage {
  /** Oldest first. */
  readonly messages: readonly ListedMessage[];
  /** Asks for the page before; absent when there is none. */
  readonly nextBefore?: number;
}

export interface ConversationsParts {
  readonly store: ChatStore;
  readonly replies: Replies;
  readonly models: ModelDirectory;
  readonly quota: Quota;
  readonly clock: Clock;
}

const DEFAULT_PAGE = 50;
const RECENT = 200;

/** What was said: made, read and removed. Its methods throw `LLMError`s. */
export class Conversations {
  readonly #parts: ConversationsParts;

  constructor({ store, replies, models, quota, clock }: ConversationsParts) {
    this.#parts = { store, replies, models, quota, clock };
  }

  /** @throws ConversationExistsError */
  async create(
    conversationId: string,
    systemPrompt: string | undefined,
    { owner = ANONYMOUS, metadata, model }: CreateOptions,
  ): Promise<CreatedConversation> {
    if (conversationId === '') throw new InvalidRequestError('conversation_id must not be empty.');
    if (model !== undefined) this.#parts.models.checkAllowed(model);
    const answer = await this.#parts.store.createConversation({
      owner,
      conversationId,
      ...(systemPrompt !== undefined && { systemPrompt }),
      ...(metadata !== undefined && { metadata }),
      ...(model !== undefined && { model }),
    });
    if (answer.type === 'exists') {
      throw new ConversationExistsError(
        `The conversation ${JSON.stringify(conversationId)} exists. Use it, or choose another id.`,
      );
    }
    return { ...toConversationView(answer.conversation), messages: [] };
  }

  /** @throws NotFoundError */
  async get(conversationId: string, { owner = ANONYMOUS }: OwnerOption): Promise<ConversationView> {
    const conversation = await this.#parts.store.loadConversation({ owner, conversationId });
    if (!conversation) throw noConversation();
    return toConversationView(conversation);
  }

  /** An owner's conversations, the one used last first. */
  async list({ owner = ANONYMOUS, cursor, limit = DEFAULT_PAGE }: ListOptions): Promise<ConversationList> {
    const page = await this.#parts.store.listConversations(owner, { limit, ...(cursor !== undefined && { cursor }) });
    return {
      conversations: page.conversations.map(toConversationView),
      ...(page.nextCursor !== undefined && { nextCursor: page.nextCursor }),
    };
  }

  /** @throws NotFoundError */
  async update(
    conversationId: string,
    patch: ConversationPatch,
    { owner = ANONYMOUS }: OwnerOption,
  ): Promise<ConversationView> {
    const answer = await this.#parts.store.updateConversation({ owner, conversationId }, patch);
    if (answer.type === 'gone') throw noConversation();
    return toConversationView(answer.conversation);
  }

  /** @throws NotFoundError */
  async listMessages(
    conversationId: string,
    { owner = ANONYMOUS, before, limit = DEFAULT_PAGE }: PageOptions,
  ): Promise<MessagePage> {
    const { store } = this.#parts;
    const key = { owner, conversationId };
    const messages = await store.loadMessages(key, { limit, ...(before !== undefined && { before }) });
    // Read behind the messages: of two answers to one question, never both are told as active.
    const conversation = await store.loadConversation(key);
    if (!messages || !conversation) throw noConversation();
    const first = messages[0]?.position ?? 1;
    const listed = messages.map((message) => ({ ...message, active: !isReplaced(conversation, message) }));
    return { messages: listed, ...(first > 1 && { nextBefore: first }) };
  }

  /** @throws NotFoundError */
  async delete(conversationId: string, { owner = ANONYMOUS, caller = owner }: OwnerOption): Promise<void> {
    const key = { owner, conversationId };
    const conversation = await this.#parts.store.loadConversation(key);
    if (!conversation) throw noConversation();
    const active = conversation.activeReply && (await this.#parts.store.loadReply(conversation.activeReply));
    if (active) await this.#parts.replies.cancel(active);
    const recent = await this.#loadRecent(key);
    const answer = await this.#parts.store.deleteConversation(key);
    if (answer.type === 'gone') throw noConversation();
    // With the conversation its request ids are free again: what they have cost is not.
    for (const { id, requestId } of recent) {
      const request = toChargeName({ conversationId, requestId });
      await this.#parts.quota.detach({ owner: caller, request }, toSpentName({ messageId: id, requestId }));
    }
  }

  /** The replies of the last minute: as many as a page has. */
  async #loadRecent(key: ConversationKey): Promise<readonly AssistantMessage[]> {
    const since = this.#parts.clock.now() - WINDOW_MS;
    const messages = (await this.#parts.store.loadMessages(key, { limit: RECENT })) ?? [];
    return messages.filter((message) => message.role === 'assistant').filter(({ createdAt }) => createdAt >= since);
  }
}

const isReplaced = ({ replaced }: Conversation, { position }: StoredMessage): boolean =>
  findRange(replaced, position) !== undefined;

const noConversation = (): NotFoundError => new NotFoundError('There is no such conversation.');
