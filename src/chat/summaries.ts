import { BackendTimeoutError, toLLMError, type LLMError } from '../errors.ts';
import { toFullModelName } from '../conversation/model-name.ts';
import type { FairQueue } from '../limits/fair-queue.ts';
import type { Route } from '../providers/provider.ts';
import type { Summary } from '../stores/chat-store.ts';
import { toSummaryPlan, writeSummary, type FilledBy, type SummaryJobParts, type SummaryPlan } from './summary-job.ts';

export interface SummaryPolicy {
  /** The longest that one may take, from its turn on. */
  readonly timeoutMs: number;
  /** Told when one could not be made: once for each that is tried. */
  readonly onFailure: (reply: { readonly messageId: string; readonly model: string }, error: LLMError) => void;
}

export interface SummariesParts extends SummaryJobParts, SummaryPolicy {
  readonly queue: FairQueue;
}

/** Whose turn it is, and where. */
interface Turn {
  readonly filledBy: FilledBy;
  readonly route: Route;
}

/** Conversations that wait for a summary; more are looked at after their next replies. */
const MAX_WAITING = 100;
/** Failures are remembered of so many conversations. */
const MAX_REMEMBERED = 1_000;
/** Of one summary. */
const MAX_ATTEMPTS = 3;

/**
 * Sums up what the next cuts will leave out: behind the replies, one at a time, in slots that nobody waits for. What
 * comes to nothing is tried again after the conversation's next reply.
 */
export class Summaries implements AsyncDisposable {
  readonly #parts: SummariesParts;
  readonly #waiting = new Map<string, FilledBy>();
  readonly #failures = new Map<string, { readonly position: number; readonly count: number }>();
  readonly #closing = new AbortController();
  #working: Promise<void> | undefined;
  #isDraining = false;

  constructor(parts: SummariesParts) {
    this.#parts = parts;
  }

  /** Takes a conversation into the line, once. Never for what stands in: it has nothing to remember with. */
  add(filledBy: FilledBy): void {
    const key = toKey(filledBy);
    const isFull = this.#waiting.size >= MAX_WAITING && !this.#waiting.has(key);
    if (this.#isDraining || filledBy.model.isFallback || isFull) return;
    this.#waiting.set(key, filledBy);
    this.#working ??= this.#work();
  }

  /** From now on nothing begins. */
  drain(): void {
    this.#isDraining = true;
    this.#waiting.clear();
  }

  /** Ends what runs, and waits until the backend has let go. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.drain();
    this.#closing.abort();
    await this.#working;
  }

  async #work(): Promise<void> {
    for (const [key, filledBy] of this.#waiting) {
      this.#waiting.delete(key);
      await this.#inIdleSlot(filledBy);
    }
    this.#working = undefined;
  }

  /** Where no slot is free in time, or somebody wants it, there will be a next reply. */
  async #inIdleSlot(filledBy: FilledBy): Promise<void> {
    const wanted = new AbortController();
    const signal = AbortSignal.any([wanted.signal, this.#closing.signal]);
    const asker = { model: toFullModelName(filledBy.model.name), conversation: toKey(filledBy) };
    using place = this.#parts.queue.enterLast(asker, () => wanted.abort());
    try {
      const turn = place.wait(signal);
      while (!(await turn.next()).done); // where it stands is told to nobody
    } catch {
      return;
    }
    if (!this.#isDraining) await this.#try({ filledBy, route: place }, signal);
  }

  async #try({ filledBy, route }: Turn, wanted: AbortSignal): Promise<void> {
    const { clock, timeoutMs, onFailure } = this.#parts;
    const late = new AbortController();
    const over = new AbortController();
    void clock.sleep(timeoutMs, over.signal).then(
      () => late.abort(new BackendTimeoutError('The summary took too long (LLM_TURN_TIMEOUT).')),
      () => undefined,
    );
    let plan: SummaryPlan | undefined;
    try {
      plan = await toSummaryPlan(this.#parts, filledBy);
      if (plan && this.#countFailures(filledBy, plan) < MAX_ATTEMPTS)
        await this.#make({ filledBy, route }, plan, AbortSignal.any([wanted, late.signal]));
    } catch (error) {
      if (wanted.aborted) return;
      const failures = plan ? this.#countFailures(filledBy, plan) : 0;
      if (plan) this.#remember(filledBy, { position: plan.position, count: failures + 1 });
      const { messageId, model } = filledBy;
      if (failures === 0) onFailure({ messageId, model: model.name }, toLLMError(error));
    } finally {
      over.abort();
    }
  }

  async #make({ filledBy, route }: Turn, plan: SummaryPlan, signal: AbortSignal): Promise<void> {
    const { store, clock } = this.#parts;
    const text = await writeSummary(this.#parts, { model: filledBy.model, plan, route }, signal);
    if (text === undefined) return;
    const { position, conversation } = plan;
    const summary: Summary = { position, text, model: filledBy.model.name, createdAt: clock.now() };
    const now = await store.loadConversation(conversation);
    // A cut that did not wait for it has passed: the prompts behind it are not to begin anew for its sake.
    const isUseful = now?.createdAt === conversation.createdAt && now.cut.position < position;
    if (isUseful) await store.keepSummary(conversation, summary, conversation.replaced);
    this.#failures.delete(toKey(filledBy));
  }

  #countFailures(filledBy: FilledBy, { position }: SummaryPlan): number {
    const known = this.#failures.get(toKey(filledBy));
    return known?.position === position ? known.count : 0;
  }

  #remember(filledBy: FilledBy, failure: { readonly position: number; readonly count: number }): void {
    const [oldest] = this.#failures.keys();
    if (this.#failures.size >= MAX_REMEMBERED && oldest !== undefined) this.#failures.delete(oldest);
    this.#failures.set(toKey(filledBy), failure);
  }
}

const toKey = ({ owner, conversationId }: FilledBy): string => JSON.stringify([owner, conversationId]);
