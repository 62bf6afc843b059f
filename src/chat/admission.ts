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
import { WINDOW_MS, type Quota } from '../limits/quota.ts';
import type { Replies } from '../replies/replies.ts';
import type { Begin, BeginAnswer, ChatStore, Conversation, Opened } from '../stores/chat-store.ts';
import { isAboutReply, toAsked } from './ask-again.ts';
import type { Asked, Place } from './asked.ts';
import { toBegin, toRecord, type NamedRequest } from './begin.ts';
import { checkChatRequest, toFingerprint, type ChatRequest } from './chat-request.ts';
import { Claim, inTurn, toChargeName, toSpentName } from './turn.ts';
import { InOrder } from './in-order.ts';
import type { ChosenModel, ModelDirectory } from './model-directory.ts';
import { checkCapabilities, Prompt, type PromptPolicy } from './prompt.ts';
import type { Accepted } from './results.ts';
import { Summaries, type SummaryPolicy } from './summaries.ts';

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
  /** What callers may ask for. */
  readonly quota: Quota;
  /** What is left out of the prompts is told in short; absent, it is not told. */
  readonly summaries?: SummaryPolicy;
}

/** A conversation that changes this often while it is opened is not ours to wait for. */
const MAX_OPENINGS = 10;

/**
 * From a request to a reply that has begun. All that can be refused is refused here, before anything is stored;
 * a repeated request is found before anything else is asked of it.
 */
export class Admission {
  readonly #parts: AdmissionParts;
  readonly #admitting = new InOrder();
  readonly #summaries: Summaries | undefined;
  #draining = false;

  constructor(parts: AdmissionParts) {
    this.#parts = parts;
    this.#summaries = parts.summaries && new Summaries({ ...parts, ...parts.summaries });
  }

  /** From now on nothing begins; repeats of what has begun are still answered. */
  drain(): void {
    this.#draining = true;
    this.#summaries?.drain();
  }

  /** Nothing begins any more, and nothing goes on behind the replies. */
  async close(): Promise<void> {
    this.drain();
    await this.#summaries?.[Symbol.asyncDispose]();
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
    return this.#admitting.run(toKey(request.owner, request.conversationId), () => this.#admit(request));
  }

  async #admit(request: ChatRequest): Promise<Accepted> {
    const { clock, ids, store, queue, quota, maxTokens } = this.#parts;
    const arrivedAt = clock.elapsed();
    const checked = checkChatRequest(request, { maxTokens });
    if (request.format !== undefined) checkFormat(request.format);
    const named = { ...checked, requestId: request.requestId ?? ids.newId() };
    const messageId = store.toMessageId(named, ids.newId());
    await using claim = new Claim({
      queue,
      quota,
      caller: request.caller ?? request.owner,
      charge: toChargeName(named),
    });
    const attempt = { request: named, messageId, arrivedAt, claim };
    for (let opening = 0; opening < MAX_OPENINGS; opening++) {
      const opened = await store.open(named, named.requestId);
      const accepted = (await this.#repeat(attempt, opened)) ?? (await this.#begin(attempt, opened));
      if (accepted) return accepted;
    }
    throw new StorageUnavailableError('The conversation keeps changing. Try again.', { retryAfterMs: 1000 });
  }

  /** The reply of the same request, where it was begun before. */
  async #repeat({ request, claim }: Attempt, { request: known }: Opened): Promise<Accepted | undefined> {
    if (!known) return undefined;
    claim.yieldTo();
    if (known.fingerprint !== toFingerprint(request)) throw conflict(request.requestId);
    return this.#attach(known.messageId);
  }

  /** Undefined when the conversation was deleted meanwhile. */
  async #attach(messageId: string): Promise<Accepted | undefined> {
    const reply = await this.#parts.store.loadReply(messageId);
    return reply && { reply, duplicate: true };
  }

  /** Undefined when the conversation has changed since it was opened. */
  async #begin(attempt: Attempt, opened: Opened): Promise<Accepted | undefined> {
    if (this.#draining)
      throw new DrainingError('The service is stopping. Ask again in a moment.', { retryAfterMs: 5000 });
    const { request, claim } = attempt;
    const { conversation } = opened;
    checkSystemPrompt(request, conversation);
    const active = conversation?.activeReply;
    if (active !== undefined && request.ifBusy === 'reject') throw busy(active);
    await claim.charge(active !== undefined);
    const asked = await this.#find(request, opened);
    const model = await this.#choose(attempt, conversation, asked?.place);
    checkCapabilities(request, asked?.question.images ?? [], model);
    const { policy, calibration } = this.#parts;
    const prompt = asked && new Prompt({ request, conversation, asked, model, policy, calibration });
    if (active !== undefined) return this.#interrupt(active); // only now: what is refused ends nobody's reply
    return asked && prompt && this.#store(attempt, { conversation, asked, model, prompt });
  }

  /** What is asked; undefined where it is about the reply that runs, which has to end before it can be known. */
  async #find(request: ChatRequest, opened: Opened): Promise<Asked | undefined> {
    const active = opened.conversation?.activeReply;
    if (active !== undefined && isAboutReply(request, active)) return undefined;
    const { store, policy } = this.#parts;
    return toAsked({ store, request, opened, maxTurns: policy.maxTurns });
  }

  /** The model, with a place before its host. Where there is no place, nobody is asked for the model. */
  async #choose(
    { request, claim }: Attempt,
    conversation: Conversation | undefined,
    place: Place | undefined,
  ): Promise<ChosenModel> {
    const { models } = this.#parts;
    // Who has begun an answer goes on with it, as long as it may be asked for.
    const begunBy = place?.type === 'grown' && models.isAllowed(place.model) ? place.model : undefined;
    const named = request.model ?? begunBy;
    const enter = (): void =>
      claim.enter(models.wanted(named, conversation), toKey(request.owner, request.conversationId));
    if (!models.isFallback) enter();
    const model = await models.choose(named, conversation);
    if (model.isFallback) claim.leave();
    else enter();
    const pull = model.provider.pull?.bind(model.provider, model.name);
    if (model.info.isMissing && pull) claim.hold(pull);
    return model;
  }

  /** Undefined when it has to be opened again: what has happened since is met there. */
  async #store(attempt: Attempt, chosen: Chosen): Promise<Accepted | undefined> {
    const { clock, ids, instance } = this.#parts;
    const begin = toBegin({ ...attempt, ...chosen, clock, ids, instance });
    const answer = await this.#storeBegin(begin);
    switch (answer.type) {
      case 'begun': {
        const accepted = this.#start(begin, answer.token, attempt, chosen);
        await this.#detach(attempt.request, chosen.asked.place);
        return accepted;
      }
      case 'exists':
        attempt.claim.yieldTo();
        return this.#attach(answer.messageId);
      case 'conflict':
        attempt.claim.yieldTo();
        throw conflict(begin.requestId);
      default:
        return undefined;
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

  #start(begin: Begin, token: string, { arrivedAt, claim, request }: Attempt, { prompt, model }: Chosen): Accepted {
    const reply = toRecord(begin);
    this.#parts.replies.start(reply, {
      token,
      source: inTurn(prompt.source, claim.take()),
      arrivedAt,
      promptTokens: prompt.estimatedTokens,
      onPromptMeasured: (measured) => prompt.learn(measured),
      onEnd: ({ state, text }) => {
        if (state !== 'done' || !this.#summaries || !prompt.isFilling(text)) return;
        this.#summaries.add({ ...reply, model, maxTokens: request.maxTokens });
      },
    });
    return { reply, duplicate: false };
  }

  /** A message that grows will no longer say which request has made it before: that one stays charged without it. */
  async #detach({ caller, owner, conversationId }: NamedRequest, place: Asked['place']): Promise<void> {
    const { clock, quota } = this.#parts;
    if (place.type !== 'grown' || place.endedAt < clock.now() - WINDOW_MS) return;
    const request = toChargeName({ conversationId, requestId: place.requestId });
    await quota.detach({ owner: caller ?? owner, request }, toSpentName(place));
  }

  /** Ends the reply that runs; the conversation is then opened again. */
  async #interrupt(messageId: string): Promise<undefined> {
    const running = await this.#parts.store.loadReply(messageId);
    if (running) await this.#parts.replies.cancel(running);
    return undefined;
  }
}

/** Names a conversation among those of all owners. */
const toKey = (owner: string, conversationId: string): string => JSON.stringify([owner, conversationId]);

/** A request on its way to its reply. */
interface Attempt {
  readonly request: NamedRequest;
  /** Of the reply, if there will be one. */
  readonly messageId: string;
  readonly arrivedAt: number;
  readonly claim: Claim;
}

interface Chosen {
  readonly conversation: Conversation | undefined;
  readonly asked: Asked;
  readonly model: ChosenModel;
  readonly prompt: Prompt;
}

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
