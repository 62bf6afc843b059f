import type { Clock } from '../clock.ts';
import type { Deadlines } from '../deadlines.ts';
import { toLLMError, type LLMError } from '../errors.ts';
import type { LogEntry, ReplyEnd, ReplyOutcome } from '../conversation/reply-event.ts';
import type { ChatStore, CloseAnswer, ReplyRecord } from '../stores/chat-store.ts';
import { LiveReply, type ReplyIdentity } from './live-reply.ts';
import { LogAppender } from './log-appender.ts';
import { ReplyReader, type ReplyTexts } from './reply-reader.ts';
import type { Position, ReplyUpdate } from './reply-update.ts';
import { ReplyWriter, type WriterTask } from './reply-writer.ts';
import { estimateFigures, sealAbandoned } from './sweeper.ts';

export interface RepliesParts {
  readonly store: ChatStore;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly turnTimeoutMs: number;
  /** Told of what an operator should see; never holds what people said. */
  readonly log: ReplyLog;
}

export interface ReplyLog {
  onUnexpected(error: LLMError): void;
  onEnd(reply: ReplyIdentity, outcome: ReplyOutcome): void;
  onSealed(count: number): void;
}

export interface ReplyTask extends Omit<WriterTask, 'live'> {
  /** Told of the reply's end, when it is stored and shown. */
  readonly onEnd?: (end: ReplyEnd) => void;
}

interface Running {
  readonly live: LiveReply;
  readonly writer: ReplyWriter;
  readonly done: Promise<void>;
}

/**
 * Leases are renewed, silence is broken and abandoned replies are looked for this often. Whoever renews hears of an
 * end by another instance: so the backend is let go within a second of it.
 */
const BEAT_MS = 500;
/** A reply that has ended stays in memory for those who are about to read its end; for a beat more, perhaps. */
const RETAIN_MS = 5_000;
/** How long an interrupted reply may take to store its end. */
const INTERRUPT_MS = 2_000;

/** The replies of this instance: those it writes, and the way to watch and end any. */
export class Replies implements AsyncDisposable {
  readonly #parts: RepliesParts;
  readonly #appender: LogAppender;
  readonly #reader: ReplyReader;
  readonly #live = new Map<string, LiveReply>();
  readonly #running = new Map<string, Running>();
  /** Those that have ended, and until when they stay, the first to go first. */
  readonly #ended = new Map<string, number>();
  #timer: Disposable | undefined;
  #beating = false;
  #stopping = false;

  constructor(parts: RepliesParts) {
    this.#parts = parts;
    this.#appender = new LogAppender(parts.store, parts.clock);
    this.#reader = new ReplyReader(parts.store, parts.clock, (messageId) => this.#findLive(messageId));
  }

  /** How many replies this instance writes now. */
  get running(): number {
    return this.#running.size;
  }

  /** Ends what an earlier process left unfinished, and begins to look after the replies of this one. */
  async initialize(): Promise<void> {
    await this.#seal();
    this.#timer = this.#parts.clock.every(BEAT_MS, () => void this.#beat());
  }

  /** Begins to write a reply that the store has begun. */
  start(identity: ReplyIdentity, { onEnd, ...task }: ReplyTask): void {
    const live = new LiveReply(identity, this.#parts.clock);
    const { store, clock, deadlines, turnTimeoutMs, log } = this.#parts;
    const writer = new ReplyWriter(
      {
        store,
        appender: this.#appender,
        clock,
        deadlines,
        turnTimeoutMs,
        onUnexpected: (error) => log.onUnexpected(error),
      },
      { ...task, live },
    );
    this.#live.set(identity.messageId, live);
    this.#running.set(identity.messageId, { live, writer, done: this.#run(live, writer, onEnd) });
    if (this.#stopping) writer.interrupt(); // it was begun while the instance stopped
  }

  /** What happens with a reply from `position` on; ends with its terminal event, or when aborted. */
  watch(record: ReplyRecord, position: Position, signal: AbortSignal): AsyncGenerator<ReplyUpdate, void> {
    return this.#reader.watch(record, position, signal);
  }

  /** A reply's texts so far, and how it ended. */
  view(record: ReplyRecord): Promise<ReplyTexts> {
    return this.#reader.view(record);
  }

  /** A page of a reply's log; of a log whose life is over, its end alone. */
  readPage(record: ReplyRecord, after: number, limit: number): Promise<readonly LogEntry[]> {
    return this.#reader.readPage(record, after, limit);
  }

  /** Ends a reply as its caller wants; what was said is kept. */
  async cancel(record: ReplyRecord): Promise<CloseAnswer> {
    const running = this.#running.get(record.messageId);
    const { clock } = this.#parts;
    const now = clock.now();
    const counted = running
      ? { usage: running.writer.tally.usage(), timings: running.writer.tally.timings(clock.elapsed()) }
      : await estimateFigures(this.#parts.store, record, now);
    const outcome: ReplyOutcome = { state: 'cancelled', finishReason: 'cancelled', ...counted };
    const closing = { messageId: record.messageId, outcome, endedAt: now };
    const answer = await this.#parts.store.cancel(closing).catch((error: unknown) => {
      running?.writer.cancel(); // what nobody wants is not to be made, whatever the store says
      throw error;
    });
    if (answer.type === 'ok') void running?.writer.close(answer.entry);
    if (answer.type === 'gone') void running?.writer.close();
    return answer;
  }

  /** Lets the running replies end by themselves for `ms`; those that do not are ended with their text kept. */
  async drain(ms: number): Promise<void> {
    await this.#waitAll(ms);
    await this.#stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#timer?.[Symbol.dispose]();
    await this.#stop();
    await this.#allDone();
  }

  /** Ends what still runs, and waits until the ends are stored or it takes too long. */
  async #stop(): Promise<void> {
    this.#stopping = true;
    for (const { writer } of this.#running.values()) writer.interrupt();
    await this.#waitAll(INTERRUPT_MS);
    for (const { writer } of this.#running.values()) writer.giveUp();
  }

  /** Waits until nothing runs, for `ms` at most. */
  async #waitAll(ms: number): Promise<void> {
    const patience = new AbortController();
    const done = this.#allDone().then(() => patience.abort());
    await Promise.race([done, this.#parts.clock.sleep(ms, patience.signal).catch(() => undefined)]);
  }

  async #allDone(): Promise<void> {
    await Promise.all([...this.#running.values()].map(({ done }) => done));
  }

  async #run(live: LiveReply, writer: ReplyWriter, onEnd: ReplyTask['onEnd']): Promise<void> {
    const { messageId } = live.identity;
    await writer.run();
    this.#running.delete(messageId);
    if (live.end) this.#parts.log.onEnd(live.identity, live.end.event);
    if (live.end) onEnd?.(live.end.event);
    this.#ended.set(messageId, this.#parts.clock.elapsed() + RETAIN_MS);
  }

  #forgetEnded(): void {
    const now = this.#parts.clock.elapsed();
    for (const [messageId, until] of this.#ended) {
      if (until > now) return;
      this.#ended.delete(messageId);
      this.#live.delete(messageId);
    }
  }

  /** One that was lost by this instance goes on in the store. */
  #findLive(messageId: string): LiveReply | undefined {
    const live = this.#live.get(messageId);
    return live?.settled && !live.end ? undefined : live;
  }

  /** Leases first: a process that slept must not take its own replies for abandoned ones. */
  async #beat(): Promise<void> {
    for (const { live } of this.#running.values()) live.heartbeat();
    this.#forgetEnded();
    if (this.#beating) return;
    this.#beating = true;
    try {
      await this.#renew();
      await this.#seal();
    } catch (error) {
      // The store is away: the appends say so to those whom it concerns, and the next beat tries again.
      if (toLLMError(error).code === 'internal_error') this.#parts.log.onUnexpected(toLLMError(error));
    } finally {
      this.#beating = false;
    }
  }

  /** Renews the leases of what is written here, and lets go of what is not ours any more. */
  async #renew(): Promise<void> {
    const running = [...this.#running.values()];
    if (running.length === 0) return;
    const leases = running.map(({ live, writer }) => ({ messageId: live.identity.messageId, token: writer.token }));
    const answers = await this.#parts.store.renew(leases);
    for (const [index, { writer }] of running.entries()) {
      if ((answers[index]?.type ?? 'ok') !== 'ok') void writer.close();
    }
  }

  async #seal(): Promise<void> {
    const { store, clock, log } = this.#parts;
    const sealed = await sealAbandoned({ store, clock, isOurs: (messageId) => this.#running.has(messageId) });
    if (sealed > 0) log.onSealed(sealed);
  }
}
