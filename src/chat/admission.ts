import type { Clock, Ids } from '../clock.ts';
import {
  ConversationBusyError,
  DrainingError,
  InvalidRequestError,
  RequestConflictError,
  StorageUnavailableError,
} from '../errors.ts';
import type { TokenCalibration } from '../conversation/token-calibration.ts';
import { checkFormat } from '../providers/with-format.ts';
import type { FairQueue } from '../limits/fair-queue.ts';
import type { HostLimiter } from '../limits/host-limiter.ts';
import type { Quota } from '../limits/quota.ts';
import type { Replies } from '../replies/replies.ts';
import type { Begin, BeginAnswer, ChatStore, Conversation, Opened, ReplyRecord } from '../stores/chat-store.ts';
import { checkChatRequest, toFingerprint, type ChatRequest, type CheckedRequest } from './chat-request.ts';
import { inTurn, type Turn } from './turn.ts';
import type { ChosenModel, ModelDirectory } from './model-directory.ts';
import { checkCapabilities, Prompt, type PromptPolicy } from './prompt.ts';
import type { Accepted } from './results.ts';

export interface AdmissionParts {
  readonly store: ChatStore;
  readonly replies: Replies;
  readonly models: ModelDirectory;
  readonly calibration: TokenCalibration;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly policy: PromptPolicy;
  /** What `max_tokens` may be at most. */
  readonly maxTokens: number;
  /** Who writes the replies that are begun here. */
  readonly instance: string;
  /** In front of the host's slots. */
  readonly queue: FairQueue;
  readonly quota: Quota;
  readonly host: HostLimiter;
}

/** A conversation that changes this often while it is opened is not ours to wait for. */
const MAX_OPENINGS = 10;

/**
 * From a request to a reply that has begun. All that can be refused is refused here, before anything is stored;
 * a repeated request is found before anything else is asked of it.
 */
export class Admission {
  readonly #parts: AdmissionParts;
  readonly #admitting = new Map<string, Promise<void>>();
  #draining = false;

  constructor(parts: AdmissionParts) {
    this.#parts = parts;
  }

  /** From now on nothing begins; repeats of what has begun are still answered. */
  drain(): void {
    this.#draining = true;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /**
   * One at a time in a conversation, in the order in which they came: repeats then find what the first has begun,
   * and of those that interrupt each other the last is answered.
   * @throws LLMError when the request is refused: then nothing of it is stored
   */
  async admit(request: ChatRequest): Promise<Accepted> {
    const key = JSON.stringify([request.owner, request.conversationId]);
    const admitting = (this.#admitting.get(key) ?? Promise.resolve()).then(() => this.#admit(request));
    const settled = admitting.then(
      () => undefined,
      () => undefined,
    );
    this.#admitting.set(key, settled);
    try {
      return await admitting;
    } finally {
      if (this.#admitting.get(key) === settled) this.#admitting.delete(key);
    }
  }

  async #admit(request: ChatRequest): Promise<Accepted> {
    const arrivedAt = this.#parts.clock.now();
    const checked = checkChatRequest(request, { maxTokens: this.#parts.maxTokens });
    if (request.format !== undefined) checkFormat(request.format);
    const named = { ...checked, requestId: request.requestId ?? this.#parts.ids.newId() };
    for (let opening = 0; opening < MAX_OPENINGS; opening++) {
      const opened = await this.#parts.store.open(named, named.requestId);
      const accepted = (await this.#repeat(named, opened)) ?? (await this.#begin(named, opened, arrivedAt));
      if (accepted) return accepted;
    }
    throw new StorageUnavailableError('The conversation keeps changing. Try again.', { retryAfterMs: 1000 });
  }

  /** The reply of the same request, where it was begun before. */
  async #repeat(request: Named, { request: known }: Opened): Promise<Accepted | undefined> {
    if (!known) return undefined;
    if (known.fingerprint !== toFingerprint(request)) throw conflict(request.requestId);
    return this.#attach(known.messageId);
  }

  /** Undefined when the conversation was deleted meanwhile. */
  async #attach(messageId: string): Promise<Accepted | undefined> {
    const reply = await this.#parts.store.loadReply(messageId);
    return reply && { reply, duplicate: true };
  }

  /** Undefined when the conversation has changed since it was opened. */
  async #begin(request: Named, opened: Opened, arrivedAt: number): Promise<Accepted | undefined> {
    if (this.#draining)
      throw new DrainingError('The service is stopping. Ask again in a moment.', { retryAfterMs: 5000 });
    const { conversation } = opened;
    checkSystemPrompt(request, conversation);
    const active = conversation?.activeReply;
    if (active !== undefined && request.ifBusy === 'reject') throw busy(active);
    const model = await this.#parts.models.choose(request.model, conversation);
    checkCapabilities(request, model);
    const { policy, calibration } = this.#parts;
    const prompt = new Prompt({ request, opened, model, policy, calibration });
    if (active !== undefined) return this.#interrupt(active); // only now: what is refused ends nobody's reply
    const turn = await this.#takeTurn(request, model);
    const begin = this.#toBegin(request, conversation, model, prompt);
    const answer = await this.#storeBegin(begin).catch((error: unknown) => this.#giveBack(turn, error));
    if (answer.type === 'begun') return this.#start(begin, answer.token, { prompt, arrivedAt, turn });
    turn.place?.[Symbol.dispose]();
    // Who repeats a request finds it charged; the charge belongs to the reply that was begun.
    if (answer.type === 'exists') return this.#attach(answer.messageId);
    if (answer.type === 'busy' || answer.type === 'stale') await turn.charged.refund();
    if (answer.type === 'conflict') throw conflict(request.requestId);
    return undefined; // busy or stale: what has happened since is met when the conversation is opened again
  }

  /** A place in the queue, and what the caller pays for it: both or neither. */
  async #takeTurn({ owner, caller, conversationId, requestId }: Named, model: ChosenModel): Promise<Turn> {
    const { queue, quota, host } = this.#parts;
    const place = model.isFallback ? undefined : queue.enter(caller ?? owner);
    try {
      const request = `${conversationId.length}:${conversationId}${requestId}`;
      const charged = await quota.charge({ owner: caller ?? owner, request });
      return { charged, ...(place && { place, host }) };
    } catch (error) {
      place?.[Symbol.dispose]();
      throw error;
    }
  }

  /** A lost answer may hide a reply that has begun: the very same call again finds it, and its token. */
  async #storeBegin(begin: Begin): Promise<BeginAnswer> {
    const { store } = this.#parts;
    return store.begin(begin).catch((error: unknown) => {
      if (error instanceof StorageUnavailableError) return store.begin(begin);
      throw error;
    });
  }

  async #giveBack({ place, charged }: Turn, error: unknown): Promise<never> {
    place?.[Symbol.dispose]();
    await charged.refund().catch(() => undefined); // the store that failed to begin may fail at this too
    throw error;
  }

  #start(begin: Begin, token: string, { prompt, arrivedAt, turn }: Started): Accepted {
    const reply = toRecord(begin);
    this.#parts.replies.start(reply, {
      token,
      source: inTurn(prompt.source, turn),
      arrivedAt,
      promptTokens: prompt.estimatedTokens,
      onPromptMeasured: (measured) => prompt.learn(measured),
    });
    return { reply, duplicate: false };
  }

  /** Ends the reply that runs; the conversation is then opened again. */
  async #interrupt(messageId: string): Promise<undefined> {
    const running = await this.#parts.store.loadReply(messageId);
    if (running) await this.#parts.replies.cancel(running);
    return undefined;
  }

  #toBegin(request: Named, conversation: Conversation | undefined, model: ChosenModel, prompt: Prompt): Begin {
    const { clock, ids, instance, store } = this.#parts;
    const { owner, conversationId, requestId, content, images, metadata, systemPrompt } = request;
    const kept = metadata === undefined ? {} : { metadata };
    return {
      owner,
      conversationId,
      requestId,
      fingerprint: toFingerprint(request),
      messageId: store.toMessageId({ owner, conversationId }, ids.newId()),
      userMessage: {
        role: 'user',
        id: `msg_${ids.newId()}`,
        content,
        createdAt: clock.now(),
        ...(images.length > 0 && { images }),
        ...kept,
      },
      model: model.name,
      ...kept,
      expectedVersion: conversation?.version ?? 0,
      ...(systemPrompt !== undefined && { systemPrompt }),
      cut: prompt.cut,
      instance,
    };
  }
}

interface Started {
  readonly prompt: Prompt;
  readonly arrivedAt: number;
  readonly turn: Turn;
}

type Named = CheckedRequest & { readonly requestId: string };

const busy = (activeMessageId: string): ConversationBusyError =>
  new ConversationBusyError(
    'A reply is running in this conversation. Wait for it, cancel it, or ask with if_busy: "interrupt".',
    { activeMessageId },
  );

const conflict = (requestId: string): RequestConflictError =>
  new RequestConflictError(
    `The request id ${JSON.stringify(requestId)} was used with another body. A new request needs a new id.`,
  );

const checkSystemPrompt = ({ systemPrompt }: ChatRequest, conversation: Conversation | undefined): void => {
  if (systemPrompt === undefined || !conversation?.messageCount || systemPrompt === conversation.systemPrompt) return;
  throw new InvalidRequestError('system_prompt can be given with the first request of a conversation only.');
};

const toRecord = ({
  owner,
  conversationId,
  messageId,
  requestId,
  model,
  metadata,
  instance,
  userMessage,
}: Begin): ReplyRecord => ({
  owner,
  conversationId,
  messageId,
  requestId,
  state: 'running',
  model,
  seq: 0,
  createdAt: userMessage.createdAt,
  instance,
  ...(metadata !== undefined && { metadata }),
});
