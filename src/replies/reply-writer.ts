import type { Clock } from '../clock.ts';
import type { Deadlines } from '../deadlines.ts';
import {
  BackendError,
  BackendTimeoutError,
  EmptyResponseError,
  InterruptedError,
  StorageUnavailableError,
  toLLMError,
  type LLMError,
} from '../errors.ts';
import type { AssistantMessage } from '../conversation/message.ts';
import type {
  ContextEvent,
  FinishReason,
  LogEntry,
  ReplyEvent,
  ReplyFailure,
  ReplyOutcome,
} from '../conversation/reply-event.ts';
import { toReplyEnd, toTranscript } from '../conversation/transcript.ts';
import type { Part } from '../providers/provider.ts';
import type { Append, AppendAnswer, ChatStore, Token } from '../stores/chat-store.ts';
import { EventGatherer } from './event-gatherer.ts';
import type { LiveReply } from './live-reply.ts';
import type { AppendSource, LogAppender } from './log-appender.ts';
import { ReplyTally } from './reply-tally.ts';

/** What a reply is made of: what the provider says, and what was left out of the prompt. */
export type SourcePart = Part | ContextEvent;
export type ReplySource = (signal: AbortSignal) => AsyncIterable<readonly SourcePart[]>;

/** Bounds of one reply's log, so that no model can fill memory or store. */
const MAX_TEXT_UNITS = 256 * 1024;
const MAX_ENTRIES = 8192;
/** Above it nothing more is read from the backend until the store has caught up. */
const MAX_WAITING_UNITS = 256 * 1024;
/** A store that is away for longer ends the reply. */
const STORE_PATIENCE_MS = 60_000;
const FINISH_RETRY_MS = 1_000;
/** A backend that does not let go is not waited for any longer. */
const RELEASE_MS = 10_000;

export interface WriterParts {
  readonly store: ChatStore;
  readonly appender: LogAppender;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  /** The whole reply, retries and rounds included. */
  readonly turnTimeoutMs: number;
  /** Told of errors that are not ours, once each. */
  readonly onUnexpected: (error: LLMError) => void;
}

export interface WriterTask {
  readonly live: LiveReply;
  readonly token: Token;
  readonly source: ReplySource;
  /** When the request came, in milliseconds since 1970. */
  readonly arrivedAt: number;
  /** An estimate. */
  readonly promptTokens: number;
  /** Told what the backend counted of the prompt. */
  readonly onPromptMeasured?: (promptTokens: number) => void;
}

/** Says that the reply was ended by somebody else: there is nothing left to write. */
const CLOSED = Symbol('closed');

export const toFailure = (error: LLMError): ReplyFailure => ({
  code: error.code,
  message: error.message,
  ...(error.retryAfterMs !== undefined && { retryAfterMs: error.retryAfterMs }),
});

/**
 * Writes one reply: what the model says is appended to the log, and shown when the store has acknowledged it;
 * the end and the message are stored together. At most one append of a reply is in flight.
 */
export class ReplyWriter implements AppendSource {
  readonly #parts: WriterParts;
  readonly #task: WriterTask;
  readonly #live: LiveReply;
  readonly #tally: ReplyTally;
  readonly #gatherer = new EventGatherer();
  readonly #abort = new AbortController();
  readonly #given = new AbortController();
  #finishReason: FinishReason | undefined;
  #inFlight: Append | undefined;
  #failingSince: number | undefined;
  #answered = Promise.withResolvers<void>();
  #writing: Promise<unknown> = Promise.resolve();
  #releasing: Promise<number | undefined> | undefined;

  constructor(parts: WriterParts, task: WriterTask) {
    this.#parts = parts;
    this.#task = task;
    this.#live = task.live;
    this.#tally = new ReplyTally(task.arrivedAt, task.promptTokens);
  }

  get tally(): ReplyTally {
    return this.#tally;
  }

  get token(): Token {
    return this.#task.token;
  }

  /** Resolves when the reply has ended and nothing is left to be told. Never rejects. */
  async run(): Promise<void> {
    const writing = this.#write();
    this.#writing = writing;
    const outcome = await writing;
    const { measuredPromptTokens } = this.#tally;
    if (measuredPromptTokens !== undefined) this.#task.onPromptMeasured?.(measuredPromptTokens);
    if (outcome !== CLOSED) await this.#finish(outcome);
    if (this.#closed) await this.close();
    this.#live.settle();
  }

  /**
   * Somebody else has ended the reply, or has taken it: lets the backend go, shows the end (`entry`, or what the
   * store has) and says when the backend is free.
   */
  async close(entry?: LogEntry): Promise<void> {
    this.#abort.abort(CLOSED);
    this.#releasing ??= this.#release();
    await this.#idle(); // what was acknowledged before the end is shown before the end
    this.#live.publish(entry ? [entry] : await this.#readRest());
    const stoppedMs = await this.#releasing;
    if (stoppedMs !== undefined && this.#live.status?.state !== 'released') {
      this.#live.setStatus({ state: 'released', stoppedMs });
    }
  }

  /** The instance stops: ends the reply with its text kept. */
  interrupt(): void {
    this.#abort.abort(new InterruptedError('The service was stopped while it answered. Ask again.'));
  }

  /** Stops trying to store an end that the store does not take. */
  giveUp(): void {
    this.#given.abort();
  }

  takeAppend(): Append | undefined {
    if (this.#inFlight) return this.#inFlight; // asked again: the very same, so that the store can tell
    if (this.#closed) return undefined;
    const events = this.#gatherer.take();
    if (events.length === 0) return undefined;
    this.#inFlight = this.#toAppend(this.#live.seq + 1, events);
    return this.#inFlight;
  }

  onAnswer(answer: AppendAnswer): void {
    const append = this.#inFlight;
    this.#inFlight = undefined;
    if (this.#failingSince !== undefined) this.#live.setStatus({ state: 'generating' });
    this.#failingSince = undefined;
    if (!append) return;
    if (answer.type === 'ok' || answer.type === 'duplicate') this.#show(append);
    else if (answer.type === 'gap') this.#refill(answer.have, append);
    else this.#lose(answer);
    this.#wake();
  }

  onFailure(error: unknown): boolean {
    const now = this.#parts.clock.now();
    this.#failingSince ??= now;
    const away = error instanceof StorageUnavailableError && now - this.#failingSince < STORE_PATIENCE_MS;
    if (away && !this.#abort.signal.aborted) {
      this.#live.setStatus({ state: 'degraded' });
      return true;
    }
    // What was never acknowledged was never shown: the reply ends before it.
    this.#inFlight = undefined;
    this.#gatherer.take();
    this.#abort.abort(toLLMError(error));
    this.#wake();
    return false;
  }

  get #closed(): boolean {
    return this.#abort.signal.reason === CLOSED;
  }

  /** Waits for the backend to let go; says how long that took, undefined when it does not. */
  async #release(): Promise<number | undefined> {
    const { clock } = this.#parts;
    const closedAt = clock.now();
    const patience = new AbortController();
    const late = clock.sleep(RELEASE_MS, patience.signal).catch(() => undefined);
    const stoppedMs = await Promise.race([this.#writing.then(() => clock.now() - closedAt), late]);
    patience.abort();
    return stoppedMs ?? undefined;
  }

  /** What the store has after what is shown; nothing when it does not answer. */
  async #readRest(): Promise<readonly LogEntry[]> {
    return this.#parts.store.readLog(this.#live.identity.messageId, this.#live.seq, MAX_ENTRIES).catch(() => []);
  }

  /** Reads the backend to its end; says how the reply ended, or that somebody else ended it. */
  async #write(): Promise<ReplyOutcome | typeof CLOSED> {
    using _deadline = this.#parts.deadlines.start(this.#parts.turnTimeoutMs, () =>
      this.#abort.abort(
        new BackendTimeoutError(
          `The reply took longer than ${this.#parts.turnTimeoutMs / 1000} s (LLM_TURN_TIMEOUT). What was said is kept.`,
        ),
      ),
    );
    try {
      this.#tally.start(this.#parts.clock.now());
      for await (const parts of this.#task.source(this.#abort.signal)) {
        this.#take(parts);
        if (this.#finishReason) break;
        await this.#room();
      }
      return this.#closed ? CLOSED : this.#toOutcome();
    } catch (error) {
      return this.#closed ? CLOSED : this.#toFailed(error);
    }
  }

  #take(parts: readonly SourcePart[]): void {
    const now = this.#parts.clock.now();
    for (const part of parts) {
      if (part.type === 'context') {
        this.#gatherer.add(part);
        continue;
      }
      this.#tally.onPart(part, now);
      if (part.type === 'status') this.#live.setStatus(part.status);
      else if (part.type === 'finish') this.#finishReason = part.finishReason;
      else this.#gatherer.addText(part.channel, part.text);
    }
    if (this.#gatherer.units > 0) this.#live.setStatus({ state: 'generating' });
    if (this.#gatherer.totalUnits > MAX_TEXT_UNITS || this.#live.seq > MAX_ENTRIES) this.#finishReason ??= 'length';
    this.#parts.appender.request(this);
  }

  /** Waits while too much is not stored yet. */
  async #room(): Promise<void> {
    while (this.#gatherer.units > MAX_WAITING_UNITS && !this.#abort.signal.aborted) await this.#answered.promise;
  }

  /** Waits until no append is in flight. */
  async #idle(): Promise<void> {
    while (this.#inFlight) await this.#answered.promise;
  }

  #wake(): void {
    this.#answered.resolve();
    this.#answered = Promise.withResolvers<void>();
  }

  /** Shows what is stored now and was not shown before. */
  #show({ seq, events }: Append): void {
    const fresh = events.slice(this.#live.seq + 1 - seq);
    this.#live.publish(fresh.map((event, index) => ({ seq: this.#live.seq + 1 + index, event })));
  }

  /** The store has lost a tail that it had acknowledged: it gets the same events at the same numbers again. */
  #refill(have: number, append: Append): void {
    this.#inFlight = this.#extended(have, append);
    this.#parts.appender.request(this);
  }

  /** The same append, beginning after `have`. */
  #extended(have: number, { seq, events }: Append): Append {
    const shown = this.#live.entriesAfter(have).map(({ event }) => event);
    return this.#toAppend(have + 1, [...shown, ...events.slice(this.#live.seq + 1 - seq)]);
  }

  /** The reply is no longer ours to write. */
  #lose(answer: Exclude<AppendAnswer, { type: 'ok' | 'duplicate' | 'gap' }>): void {
    if (answer.type === 'gone') this.#live.failToEnd({ code: 'not_found', message: 'The conversation was deleted.' });
    if (answer.type === 'fenced') {
      this.#live.failToEnd({ code: 'interrupted', message: 'The reply was taken over elsewhere: ask for it again.' });
    }
    this.#abort.abort(CLOSED);
  }

  /** Stores the end together with what still waits. */
  async #finish(outcome: ReplyOutcome): Promise<void> {
    await this.#idle();
    let append = this.#toAppend(this.#live.seq + 1, this.#gatherer.take());
    while (!this.#closed && !this.#given.signal.aborted) {
      const answer = await this.#tryFinish(append, outcome);
      if (answer?.type === 'gap') append = this.#extended(answer.have, append);
      else if (answer) return answer.type === 'ok' || answer.type === 'duplicate' ? undefined : this.#lose(answer);
    }
  }

  /** Undefined when the store did not take it. */
  async #tryFinish(append: Append, outcome: ReplyOutcome): Promise<AppendAnswer | undefined> {
    const { clock, store } = this.#parts;
    const message = this.#toMessage(append, outcome);
    const finish = { ...append, events: [...append.events, toReplyEnd(message.content, outcome, message.createdAt)] };
    try {
      const answer = await store.finish({ ...finish, message });
      if (answer.type === 'ok' || answer.type === 'duplicate') this.#show(finish);
      return answer;
    } catch (error) {
      // The end is known but not stored: watchers are told without a number, and it is stored when it can be.
      this.#live.failToEnd(toFailure(toLLMError(error)));
      await clock.sleep(FINISH_RETRY_MS, this.#given.signal).catch(() => undefined);
      return undefined;
    }
  }

  #toAppend(seq: number, events: readonly ReplyEvent[]): Append {
    return { messageId: this.#live.identity.messageId, token: this.#task.token, seq, events };
  }

  #toMessage({ seq, events }: Append, outcome: ReplyOutcome): AssistantMessage {
    const { messageId, requestId, model, metadata } = this.#live.identity;
    const fresh = events.slice(this.#live.seq + 1 - seq).map((event, index) => ({ seq: seq + index, event }));
    const { content, thinking } = toTranscript(fresh);
    const thoughts = this.#live.text('thinking') + thinking;
    return {
      role: 'assistant',
      id: messageId,
      content: this.#live.text('content') + content,
      createdAt: this.#parts.clock.now(),
      ...(thoughts && { thinking: thoughts }),
      requestId,
      model,
      seq: seq + events.length,
      outcome,
      ...(metadata && { metadata }),
    };
  }

  #toOutcome(): ReplyOutcome {
    if (!this.#finishReason) {
      throw new BackendError('The model’s answer broke off before its end. What was said is kept.');
    }
    this.#gatherer.close();
    return this.#gatherer.hasContent
      ? { state: 'done', finishReason: this.#finishReason, ...this.#counted() }
      : this.#toFailed(this.#toEmpty());
  }

  #toFailed(error: unknown): ReplyOutcome {
    const known = toLLMError(error);
    if (known.code === 'internal_error') this.#parts.onUnexpected(known);
    return { state: 'failed', failure: toFailure(known), ...this.#counted() };
  }

  #toEmpty(): EmptyResponseError {
    return new EmptyResponseError(
      this.#finishReason === 'length'
        ? 'The model used up all its tokens before it said a word. Ask with a larger max_tokens, or with think: false.'
        : 'The model ended without saying a word. Ask in other words, or try another model.',
    );
  }

  #counted(): Pick<ReplyOutcome, 'usage' | 'timings'> {
    return { usage: this.#tally.usage(), timings: this.#tally.timings(this.#parts.clock.now()) };
  }
}
