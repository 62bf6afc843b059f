import { toLLMError, type LLMError } from '../errors.ts';
import type { Metadata } from '../conversation/message.ts';
import { ANONYMOUS } from '../conversation/owner.ts';
import { isEnd, type LogEntry } from '../conversation/reply-event.ts';
import { TokenCalibration } from '../conversation/token-calibration.ts';
import type { ModelInfo } from '../providers/provider.ts';
import type { Position, ReplyUpdate } from '../replies/reply-update.ts';
import type { ConversationPatch, ReplyRecord } from '../stores/chat-store.ts';
import { Admission, type AdmissionParts } from './admission.ts';
import { toChatRequest, type ChatRequest, type GenerateOptions } from './chat-request.ts';
import {
  Conversations,
  type ConversationList,
  type ListOptions,
  type CreatedConversation,
  type CreateOptions,
  type MessagePage,
  type OwnerOption,
  type PageOptions,
  type WatchOptions,
} from './conversations.ts';
import { createDemo } from './demo.ts';
import { answers, checkHealth, type ServiceHealth } from './health.ts';
import { loadReply, noReply } from './reply-lookup.ts';
import {
  toFailure,
  toReplyResult,
  toUnstoredFailure,
  type Accepted,
  type CancelResult,
  type ChatUpdate,
  type ConversationView,
  type Failure,
  type Reply,
  type ReplyReference,
  type ReplyView,
  type Result,
} from './results.ts';

export interface ChatServiceParts extends Omit<AdmissionParts, 'calibration'> {
  /** Told how each request was met: `accepted`, `duplicate`, or the code of its refusal. */
  readonly onRequest?: (outcome: string) => void;
  /** Told of errors that are not the caller's. */
  readonly onError: (error: LLMError) => void;
  /** Closes what was opened for the service. */
  readonly onClose?: () => Promise<void>;
}

const START: Position = { seq: 0 };

/**
 * What the service can do, without a wire. Every method answers with a success flag and does not throw for what
 * can go wrong in use. A reply belongs to the service: leaving an iteration early ends the watching, never the
 * reply; `cancel` does that.
 */
export class LLMChatService {
  readonly #parts: ChatServiceParts;
  readonly #admission: Admission;
  readonly #conversations: Conversations;

  constructor(parts: ChatServiceParts) {
    this.#parts = parts;
    this.#conversations = new Conversations(parts);
    this.#admission = new Admission({ ...parts, calibration: new TokenCalibration() });
  }

  /** Ends what an earlier process left unfinished. To be awaited before anything else. */
  async initialize(): Promise<void> {
    await this.#parts.replies.initialize();
  }

  /** A new, empty conversation. An id that exists is `conversation_exists`. */
  async createConversation(
    conversationId: string,
    systemPrompt?: string,
    options: CreateOptions = {},
  ): Promise<Result<CreatedConversation>> {
    return this.#answer({ conversationId }, () => this.#conversations.create(conversationId, systemPrompt, options));
  }

  async getConversation(conversationId: string, options: OwnerOption = {}): Promise<Result<ConversationView>> {
    return this.#answer({ conversationId }, () => this.#conversations.get(conversationId, options));
  }

  /** A page of an owner's conversations, the one used last first. */
  async listConversations(options: ListOptions = {}): Promise<Result<ConversationList>> {
    return this.#answer({}, () => this.#conversations.list(options));
  }

  /** Changes title, system prompt (of the turns to come) or metadata; null takes one away. */
  async updateConversation(
    conversationId: string,
    patch: ConversationPatch,
    options: OwnerOption = {},
  ): Promise<Result<ConversationView>> {
    return this.#answer({ conversationId }, () => this.#conversations.update(conversationId, patch, options));
  }

  /** A page of messages, oldest first; `nextBefore` asks for the page before it, when there is one. */
  async listMessages(conversationId: string, options: PageOptions = {}): Promise<Result<MessagePage>> {
    return this.#answer({ conversationId }, () => this.#conversations.listMessages(conversationId, options));
  }

  /** Removes a conversation with all that belongs to it; a reply that runs in it is cancelled first. */
  async deleteConversation(
    conversationId: string,
    options: OwnerOption = {},
  ): Promise<Result<{ readonly conversationId: string }>> {
    return this.#answer({ conversationId }, async () => {
      await this.#conversations.delete(conversationId, options);
      return { conversationId };
    });
  }

  /**
   * Asks, and answers when the reply has ended. A conversation that does not exist is created. With `continue` or
   * `regenerate` in its options nothing new is asked: `userInput` is ''.
   */
  async generateResponse(
    conversationId: string,
    userInput: string,
    options: GenerateOptions = {},
  ): Promise<Result<Reply>> {
    const answer = await this.request(toChatRequest(conversationId, userInput, options));
    return answer.success ? this.awaitReply(answer.reply) : answer;
  }

  /** As `generateResponse`; the answer is given to `onResponse`, and waited for there. */
  async processChatMessage(
    message: { readonly conversationId: string; readonly content: string; readonly metadata?: Metadata },
    onResponse: (response: Result<Reply>) => Promise<void> | void,
  ): Promise<void> {
    const { conversationId, content, metadata } = message;
    await onResponse(await this.generateResponse(conversationId, content, metadata === undefined ? {} : { metadata }));
  }

  /** Asks, and tells what happens while it happens. */
  async *streamResponse(
    conversationId: string,
    userInput: string,
    { signal, ...options }: GenerateOptions & WatchOptions = {},
  ): AsyncGenerator<ChatUpdate, void> {
    const answer = await this.request(toChatRequest(conversationId, userInput, options));
    if (!answer.success) return yield { type: 'refused', failure: answer };
    yield { type: 'accepted', reply: answer.reply, duplicate: answer.duplicate };
    yield* this.watch(answer.reply, START, signal);
  }

  /** Begins a reply, or finds the one that the same request began. Nothing is stored of what is refused. */
  async request(request: ChatRequest): Promise<Result<Accepted>> {
    const { conversationId, requestId } = request;
    const context = { conversationId, ...(requestId !== undefined && { requestId }) };
    const answer = await this.#answer(context, () => this.#admission.admit(request));
    this.#parts.onRequest?.(answer.success ? (answer.duplicate ? 'duplicate' : 'accepted') : answer.code);
    return answer;
  }

  /** A reply from `position` on, running or ended. */
  async *resume(
    messageId: string,
    position: Position = START,
    { owner = ANONYMOUS, signal }: WatchOptions = {},
  ): AsyncGenerator<ChatUpdate, void> {
    const found = await this.findReply({ messageId }, { owner });
    if (!found.success) return yield { type: 'refused', failure: found };
    yield { type: 'accepted', reply: found.reply, duplicate: true };
    yield* this.watch(found.reply, position, signal);
  }

  /** What happens with a reply, from `position` on. Rejects only when the store does. */
  watch(reply: ReplyRecord, position: Position, signal?: AbortSignal): AsyncGenerator<ReplyUpdate, void> {
    return this.#parts.replies.watch(reply, position, signal ?? new AbortController().signal);
  }

  /** A reply's end, waited for. */
  async awaitReply(reply: ReplyRecord): Promise<Result<Reply>> {
    try {
      for await (const update of this.watch(reply, START)) {
        if (update.type === 'unstored-end') return toUnstoredFailure(reply, update.failure, this.#parts.clock.now());
        const end = update.type === 'entries' ? update.entries.findLast(isEnd) : undefined;
        if (end) return toReplyResult(reply, end.seq, end.event);
      }
      throw noReply();
    } catch (error) {
      return this.#fail(error, reply);
    }
  }

  /** Ends a running reply, with its text kept; one that has ended stays as it is. */
  async cancel(reference: ReplyReference, { owner = ANONYMOUS }: OwnerOption = {}): Promise<Result<CancelResult>> {
    return this.#answer(reference, async () => {
      const reply = await loadReply(this.#parts.store, reference, owner);
      const { messageId, conversationId } = reply;
      if (reply.state !== 'running') return { messageId, conversationId, state: reply.state };
      const answer = await this.#parts.replies.cancel(reply);
      if (answer.type === 'gone') throw noReply();
      return { messageId, conversationId, state: answer.type === 'ok' ? 'cancelled' : answer.state };
    });
  }

  /** A reply's record; absent and somebody else's are the same `not_found`. */
  async findReply(
    reference: ReplyReference,
    { owner = ANONYMOUS }: OwnerOption = {},
  ): Promise<Result<{ readonly reply: ReplyRecord }>> {
    return this.#answer(reference, async () => ({ reply: await loadReply(this.#parts.store, reference, owner) }));
  }

  /** A reply's state and text so far. */
  async getReply(messageId: string, options: OwnerOption = {}): Promise<Result<ReplyView>> {
    const found = await this.findReply({ messageId }, options);
    if (!found.success) return found;
    return this.#answer({ messageId }, async () => ({
      record: found.reply,
      texts: await this.#parts.replies.view(found.reply),
    }));
  }

  /** A page of a reply's events after `after`. A log lives 15 minutes longer than its reply. */
  async listEvents(
    messageId: string,
    { after = 0, limit = 200, ...options }: OwnerOption & { readonly after?: number; readonly limit?: number } = {},
  ): Promise<Result<{ readonly reply: ReplyRecord; readonly entries: readonly LogEntry[] }>> {
    const found = await this.findReply({ messageId }, options);
    if (!found.success) return found;
    return this.#answer({ messageId }, async () => ({
      reply: found.reply,
      entries: await this.#parts.replies.readPage(found.reply, after, limit),
    }));
  }

  /** Makes the finished conversation that the documentation's examples are about; gives the id of its reply. */
  async createDemo(owner = ANONYMOUS): Promise<string> {
    const { store, clock, instance } = this.#parts;
    return createDemo({ store, clock, instance, owner });
  }

  /** What can be asked for. */
  async listModels(): Promise<Result<{ readonly models: readonly ModelInfo[] }>> {
    return this.#answer({}, async () => ({ models: await this.#parts.models.list() }));
  }

  /** How store and backend are. */
  async health(): Promise<ServiceHealth> {
    const { store, models, replies, queue } = this.#parts;
    return checkHealth({ store, models, queue, running: replies.running, draining: this.#admission.draining });
  }

  /** What is read again and again: figures of this instance, without a question to anybody. */
  get load(): { readonly waiting: number; readonly serving: number; readonly running: number } {
    const { queue, replies } = this.#parts;
    return { waiting: queue.waiting, serving: queue.serving, running: replies.running };
  }

  /** The hosts, whether each can be asked, as far as is known, and how many replies it makes for this instance. */
  get hosts(): readonly { readonly host: string; readonly isUp: boolean; readonly running: number }[] {
    const { models, queue } = this.#parts;
    return models.hosts.map((each) => ({ ...each, running: queue.load(each.host) }));
  }

  /** Whether requests can be sent here: the store answers, and the service is not stopping. */
  async isReady(): Promise<boolean> {
    return !this.#admission.draining && (await answers(this.#parts.store));
  }

  /** Takes no more requests, and lets what runs end for up to `ms`; what does not is ended with its text kept. */
  async drain(ms: number): Promise<void> {
    this.#admission.drain();
    await this.#parts.replies.drain(ms);
  }

  /** Ends what runs, with its text kept, and closes what was opened. */
  async close(): Promise<void> {
    await this.#admission.close();
    await this.#parts.replies[Symbol.asyncDispose]();
    await this.#parts.onClose?.();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #answer<T extends object>(context: Partial<Failure>, work: () => Promise<T>): Promise<Result<T>> {
    try {
      return { success: true, ...(await work()) };
    } catch (error) {
      return this.#fail(error, context);
    }
  }

  #fail(error: unknown, { conversationId, messageId, requestId }: Partial<Failure>): Failure {
    const known = toLLMError(error);
    if (known.code === 'internal_error') this.#parts.onError(known);
    return toFailure(known, this.#parts.clock.now(), {
      ...(conversationId !== undefined && { conversationId }),
      ...(messageId !== undefined && { messageId }),
      ...(requestId !== undefined && { requestId }),
    });
  }
}
