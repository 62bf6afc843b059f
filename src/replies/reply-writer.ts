import type { Clock } from '../clock.ts';
import type { Deadline, Deadlines } from '../deadlines.ts';
import {
  BackendError,
  BackendTimeoutError,
  EmptyResponseError,
  InterruptedError,
  toLLMError,
  type LLMError,
} from '../errors.ts';
import type { ContextEvent, FinishReason, LogEntry, ReplyOutcome } from '../conversation/reply-event.ts';
import type { ModelLoading, Part, ProviderStatus } from '../providers/provider.ts';
import type { ChatStore, Token } from '../stores/chat-store.ts';
import type { LiveReply } from './live-reply.ts';
import type { LogAppender } from './log-appender.ts';
import { LogTail } from './log-tail.ts';
import { storeEnd, toReplyFailure } from './reply-ending.ts';
import type { LiveStatus } from './reply-status.ts';
import { ReplyTally } from './reply-tally.ts';

/** What a reply is made of: what the provider says, and what was left out of the prompt. */
export type SourcePart = Part | ContextEvent | QueuedPart | PullingPart | { readonly type: 'turn' } | TextSoFarPart;
/** Where the model goes on with an answer: what there was of it, none of it said by the model now. */
export interface TextSoFarPart {
  readonly type: 'text-so-far';
  readonly text: string;
  /** What was thought before it. */
  readonly thinking?: string;
}
/** The model's turn has not come; when it has, a `turn` follows. */
export interface QueuedPart {
  readonly type: 'queued';
  /** 1 is the next. */
  readonly position: number;
  readonly expectedMs?: number;
}
/** The model is not there yet: it is downloaded, before the reply's turn comes. */
export interface PullingPart {
  readonly type: 'pulling';
  readonly status: ModelLoading;
}
export type ReplySource = (signal: AbortSignal) => AsyncIterable<readonly SourcePart[]>;

/** A backend that does not let go is not waited for any longer. */
const RELEASE_MS = 10_000;
/** Of the log, when somebody else has ended the reply. */
const MAX_REST = 10_000;

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
  /** When the request came, by `Clock.elapsed`. */
  readonly arrivedAt: number;
  /** An estimate. */
  readonly promptTokens: number;
  /** Told what the backend counted of the prompt. */
  readonly onPromptMeasured?: (promptTokens: number) => void;
}

/**
 * Writes one reply: what the model says goes to the tail of the log, and how it ends is decided once, by whoever
 * is first: the model, the backend's failure, a bound, a deadline, the store, or somebody who has ended it.
 */
export class ReplyWriter {
  readonly #parts: WriterParts;
  readonly #task: WriterTask;
  readonly #live: LiveReply;
  readonly #tally: ReplyTally;
  readonly #tail: LogTail;
  readonly #abort = new AbortController();
  readonly #given = new AbortController();
  /** Undefined where somebody else has ended the reply. */
  readonly #decision = Promise.withResolvers<ReplyOutcome | undefined>();
  #isDecided = false;
  #deadline: Deadline | undefined;
  /** When the backend let go. */
  #reading: Promise<number> | undefined;
  #closing: Promise<void> | undefined;
  #closedAt = 0;

  constructor(parts: WriterParts, task: WriterTask) {
    const { appender, clock } = parts;
    const { live, token } = task;
    this.#parts = parts;
    this.#task = task;
    this.#live = live;
    this.#tally = new ReplyTally(task.arrivedAt, task.promptTokens);
    this.#tail = new LogTail({
      live,
      token,
      appender,
      clock,
      onLost: () => void this.close(),
      onBroken: (error) => this.#stop(error),
    });
  }

  get tally(): ReplyTally {
    return this.#tally;
  }

  get token(): Token {
    return this.#task.token;
  }

  /** Resolves when the reply has ended and nothing is left to be told. Never rejects. */
  async run(): Promise<void> {
    const outcome = await this.#decide();
    const { measuredPromptTokens } = this.#tally;
    if (measuredPromptTokens !== undefined) this.#task.onPromptMeasured?.(measuredPromptTokens);
    if (outcome) await this.#end(outcome);
    await this.#closing;
    if (this.#live.end?.event.state === 'cancelled') await this.#tellReleased();
    this.#live.settle();
  }

  /**
   * Somebody else has ended the reply, or has taken it: lets the backend go, and shows what is in the log behind
   * what is shown. `end` is its last entry, where that is known.
   */
  close(end?: LogEntry): Promise<void> {
    this.#closing ??= this.#close(end);
    return this.#closing;
  }

  /** Its caller wants no more, but the store could not be told: the backend is let go, the end stored when it can be. */
  cancel(): void {
    if (!this.#isDecided) this.#settleOn({ state: 'cancelled', finishReason: 'cancelled', ...this.#counted() });
    this.#abort.abort(new InterruptedError('The reply was cancelled.'));
  }

  /** The instance stops: ends the reply with its text kept. */
  interrupt(): void {
    this.#stop(new InterruptedError('The service was stopped while it answered. Ask again.'));
  }

  /** Stops trying to store an end that the store does not take. */
  giveUp(): void {
    this.#given.abort();
  }

  /** Begins to read the backend; says how the reply ends as soon as that is known. */
  async #decide(): Promise<ReplyOutcome | undefined> {
    const { clock, deadlines, turnTimeoutMs } = this.#parts;
    using deadline = deadlines.start(turnTimeoutMs, () => this.#stop(toTimeout(turnTimeoutMs)));
    this.#deadline = deadline;
    this.#tally.start(clock.elapsed());
    this.#reading = this.#read().then(() => clock.elapsed());
    return await this.#decision.promise;
  }

  async #read(): Promise<void> {
    try {
      for await (const parts of this.#task.source(this.#abort.signal)) {
        this.#take(parts);
        if (this.#isDecided) return;
        await this.#tail.waitForRoom();
      }
      this.#fail(new BackendError('The model’s answer broke off before its end. What was said is kept.'));
    } catch (error) {
      this.#fail(error);
    }
  }

  #take(parts: readonly SourcePart[]): void {
    const now = this.#parts.clock.elapsed();
    for (const part of parts) {
      if (this.#isDecided) return;
      if (part.type === 'context') this.#tail.add(part);
      else if (part.type === 'turn') this.#beginTurn(now);
      else if (part.type === 'queued') this.#wait(toQueued(part));
      else if (part.type === 'pulling') this.#wait(part.status);
      else if (part.type === 'text-so-far') this.#tail.addTextSoFar(part);
      else this.#takePart(part, now);
    }
    this.#tail.flush();
  }

  #wait(status: LiveStatus): void {
    this.#tally.wait();
    this.#deadline?.reset(Number.POSITIVE_INFINITY); // waiting has a limit of its own
    this.#live.setStatus(status);
  }

  #beginTurn(now: number): void {
    this.#tally.start(now);
    this.#deadline?.reset(this.#parts.turnTimeoutMs);
  }

  #takePart(part: Part, now: number): void {
    if (part.type === 'text-delta' && part.text === '') return;
    this.#tally.onPart(part, now);
    if (part.type === 'status') this.#live.setStatus(toLiveStatus(part.status));
    else if (part.type === 'finish') this.#complete(part.finishReason);
    else this.#takeText(part);
  }

  #takeText({ channel, text }: Extract<Part, { type: 'text-delta' }>): void {
    this.#live.setStatus({ state: 'generating' });
    if (this.#tail.addText(channel, text)) return;
    this.#succeed('length');
    this.#abort.abort(new InterruptedError('The reply has reached its bounds.'));
  }

  #complete(finishReason: FinishReason): void {
    this.#tail.completeText();
    this.#succeed(finishReason);
  }

  #succeed(finishReason: FinishReason): void {
    if (this.#tail.hasContent) this.#settleOn({ state: 'done', finishReason, ...this.#counted() });
    else this.#fail(toEmpty(finishReason));
  }

  #fail(error: unknown): void {
    if (this.#isDecided) return;
    const known = toLLMError(error);
    if (known.code === 'internal_error') this.#parts.onUnexpected(known);
    this.#settleOn({ state: 'failed', failure: toReplyFailure(known), ...this.#counted() });
  }

  /** Fails, and lets the backend go. */
  #stop(error: unknown): void {
    this.#fail(error);
    this.#abort.abort(error);
  }

  /** The first to say how the reply ends has said it; nothing is taken from the model after that. */
  #settleOn(outcome: ReplyOutcome | undefined): void {
    this.#isDecided = true;
    this.#tail.stop();
    this.#decision.resolve(outcome);
  }

  async #end(outcome: ReplyOutcome): Promise<void> {
    const rest = await this.#tail.takeRest();
    if (this.#closing) return;
    const { live, token } = this.#task;
    const isOurs = await storeEnd(this.#parts, { live, token, outcome, rest }, this.#given.signal);
    if (!isOurs) await this.close();
  }

  async #close(end: LogEntry | undefined): Promise<void> {
    this.#closedAt = this.#parts.clock.elapsed();
    this.#settleOn(undefined);
    this.#abort.abort(new InterruptedError('The reply was ended by somebody else.'));
    this.#live.publish(end?.seq === this.#live.seq + 1 ? [end] : await this.#readRest());
  }

  /** What the store has after what is shown; nothing when it does not answer: watchers then go on from the store. */
  async #readRest(): Promise<readonly LogEntry[]> {
    return this.#parts.store.readLog(this.#live.identity.messageId, this.#live.seq, MAX_REST).catch(() => []);
  }

  /** Tells when the backend is free again, if it lets go in time. */
  async #tellReleased(): Promise<void> {
    const patience = new AbortController();
    const late = this.#parts.clock.sleep(RELEASE_MS, patience.signal).catch(() => undefined);
    const releasedAt = await Promise.race([this.#reading, late]);
    patience.abort();
    if (releasedAt === undefined) return;
    this.#live.setStatus({ state: 'released', stoppedMs: Math.max(0, releasedAt - this.#closedAt) });
  }

  #counted(): Pick<ReplyOutcome, 'usage' | 'timings'> {
    return { usage: this.#tally.usage(), timings: this.#tally.timings(this.#parts.clock.elapsed()) };
  }
}

const toTimeout = (ms: number): BackendTimeoutError =>
  new BackendTimeoutError(`The reply took longer than ${ms / 1000} s (LLM_TURN_TIMEOUT). What was said is kept.`);

const toEmpty = (finishReason: FinishReason): EmptyResponseError =>
  new EmptyResponseError(
    finishReason === 'length'
      ? 'The model used up all its tokens before it said a word. Ask with a larger max_tokens, or with think: false.'
      : 'The model ended without saying a word. Ask in other words, or try another model.',
  );

const toQueued = ({ type: state, ...position }: QueuedPart): LiveStatus => ({ state, ...position });

const toLiveStatus = (status: ProviderStatus): LiveStatus =>
  status.state === 'generating' ? { state: 'generating' } : status;
