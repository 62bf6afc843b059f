import type { Clock } from '../clock.ts';
import { StorageUnavailableError } from '../errors.ts';
import type { Channel, LogEntry, ReplyEvent } from '../conversation/reply-event.ts';
import type { Append, AppendAnswer, Token } from '../stores/chat-store.ts';
import { EventGatherer } from './event-gatherer.ts';
import type { LiveReply } from './live-reply.ts';
import type { AppendSource, LogAppender } from './log-appender.ts';
import { STORE_PATIENCE_MS } from './patience.ts';

/** Bounds of one reply's log beside its end, so that no model can fill memory or store. */
const MAX_TEXT_UNITS = 256 * 1024;
const MAX_ENTRIES = 8192;
/** Not acknowledged yet: above it nothing more is read from the backend. At most 192 KiB of UTF-8. */
const MAX_UNSTORED_UNITS = 64 * 1024;

export interface LogTailParts {
  readonly live: LiveReply;
  readonly token: Token;
  readonly appender: LogAppender;
  readonly clock: Clock;
  /** The reply is no longer ours to write: it has ended, is deleted, or another instance has it. */
  readonly onLost: () => void;
  /** The store does not take what is said. */
  readonly onBroken: (error: unknown) => void;
}

/**
 * What the model has said and the store has not acknowledged. It is appended, at most one append at a time, and
 * shown when it is acknowledged. A sequence number that was sent once means the same event for ever: its answer
 * may have been lost, and the event be stored.
 */
export class LogTail implements AppendSource {
  readonly #parts: LogTailParts;
  readonly #gatherer = new EventGatherer();
  /** Events that were sent and not acknowledged, and the number of the first. */
  #sent: readonly ReplyEvent[] = [];
  #sentSeq = 1;
  /** Where the store's log ends, when the store has said that it lacks what it had. */
  #have: number | undefined;
  #isCalling = false;
  #isUncertain = false;
  #isStopped = false;
  #failingSince: number | undefined;
  #changed = Promise.withResolvers<void>();

  constructor(parts: LogTailParts) {
    this.#parts = parts;
  }

  /** Whether the model has said anything but thoughts. */
  get hasContent(): boolean {
    return this.#gatherer.hasContent;
  }

  add(event: ReplyEvent): void {
    this.#gatherer.add(event);
  }

  /** False when the log is full: not all of the text had room, or nothing more will. */
  addText(channel: Channel, text: string): boolean {
    const room = MAX_TEXT_UNITS - this.#gatherer.totalUnits;
    this.#gatherer.addText(channel, text.slice(0, room));
    return text.length <= room && this.#gatherer.totalEvents < MAX_ENTRIES;
  }

  /** What others have said before, and not the model now: in deltas of their own. */
  addTextSoFar({ text, thinking }: { readonly text: string; readonly thinking?: string }): void {
    this.#gatherer.addApart('content', text);
    if (thinking !== undefined) this.#gatherer.addApart('thinking', thinking);
  }

  /** The model has said all: half of a pair will not be completed. */
  completeText(): void {
    this.#gatherer.close();
  }

  /** Lets what was added be appended as soon as it can be. */
  flush(): void {
    this.#parts.appender.request(this);
  }

  /** Waits while too much is not stored yet. */
  async waitForRoom(): Promise<void> {
    while (this.#unstoredUnits > MAX_UNSTORED_UNITS && !this.#isStopped) await this.#changed.promise;
  }

  /** Appends nothing more: what is left goes with the end. */
  stop(): void {
    this.#isStopped = true;
    this.#wake();
  }

  /** What is not acknowledged, when no call is in flight any more. It follows what is shown. */
  async takeRest(): Promise<readonly ReplyEvent[]> {
    this.stop();
    while (this.#isCalling) await this.#changed.promise;
    return [...this.#sent, ...this.#gatherer.take()];
  }

  takeAppend(): Append | undefined {
    if (this.#isStopped) return undefined;
    const { live, token } = this.#parts;
    if (this.#sent.length === 0) {
      this.#sent = this.#gatherer.take();
      this.#sentSeq = live.seq + 1;
    }
    if (this.#sent.length === 0) return undefined;
    this.#isCalling = true;
    const have = this.#have ?? live.seq;
    return { messageId: live.identity.messageId, token, seq: have + 1, events: toEventsAfter(have, live, this.#sent) };
  }

  onAnswer(answer: AppendAnswer): void {
    this.#isCalling = false;
    this.#isUncertain = false;
    this.#failingSince = undefined;
    if (answer.type === 'ok' || answer.type === 'duplicate') this.#show();
    else if (answer.type === 'gap') this.#refill(answer.have);
    else this.#parts.onLost();
    this.#wake();
  }

  onFailure(error: unknown): boolean {
    this.#isCalling = false;
    const isAway = error instanceof StorageUnavailableError;
    const wantsRetry = !this.#isStopped && isAway && this.#hasPatience();
    this.#isUncertain ||= isAway; // it may be stored all the same
    if (wantsRetry) this.#parts.live.degrade();
    else if (!this.#isStopped) this.#break(error);
    this.#wake();
    return wantsRetry;
  }

  get #unstoredUnits(): number {
    return this.#gatherer.totalUnits - this.#parts.live.units;
  }

  #show(): void {
    const entries = toEntries(this.#sentSeq, this.#sent);
    this.#sent = [];
    this.#have = undefined;
    this.#parts.live.publish(entries);
  }

  /** The store has lost a tail that it had acknowledged: it gets the same events at the same numbers again. */
  #refill(have: number): void {
    this.#have = have;
    this.#parts.appender.request(this);
  }

  #hasPatience(): boolean {
    const now = this.#parts.clock.elapsed();
    this.#failingSince ??= now;
    return now - this.#failingSince < STORE_PATIENCE_MS;
  }

  /** What the store refuses was not shown: the reply ends before it. What may be stored keeps its numbers. */
  #break(error: unknown): void {
    if (!(error instanceof StorageUnavailableError)) {
      this.#gatherer.take();
      if (!this.#isUncertain) this.#sent = [];
    }
    this.#parts.onBroken(error);
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}

/** Events as the log's entries, from `seq` on. */
export const toEntries = (seq: number, events: readonly ReplyEvent[]): readonly LogEntry[] =>
  events.map((event, index) => ({ seq: seq + index, event }));

/** What follows `have` in the log, when `fresh` follows what is shown. */
export const toEventsAfter = (have: number, live: LiveReply, fresh: readonly ReplyEvent[]): readonly ReplyEvent[] => [
  ...live.entriesAfter(have).map(({ event }) => event),
  ...fresh.slice(Math.max(0, have - live.seq)),
];
