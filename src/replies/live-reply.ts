import type { Clock } from '../clock.ts';
import { isEnd, type Channel, type LogEntry, type ReplyEnd, type ReplyFailure } from '../conversation/reply-event.ts';
import type { ReplyRecord } from '../stores/chat-store.ts';
import { toReplyStatus, type LiveStatus, type ReplyStatus } from './reply-status.ts';

/** What a reply is, without what changes while it runs. */
export type ReplyIdentity = Omit<ReplyRecord, 'state' | 'seq'>;

/**
 * Silence is broken at least every 10 s, so that no proxy takes a slow model for a dead connection. It is looked
 * at once a second: what has lasted for 9 s then could last for more than 10 s at the next look.
 */
export const HEARTBEAT_MS = 9_000;

/**
 * A reply that this instance writes, as the instance's memory has it: the acknowledged tail of its log and its
 * status. A view of the log, no more: an entry is in here only after the store has acknowledged it.
 */
export class LiveReply {
  readonly identity: ReplyIdentity;
  readonly #clock: Clock;
  readonly #entries: LogEntry[] = [];
  readonly #texts: Record<Channel, string> = { content: '', thinking: '' };
  #status: LiveStatus | undefined;
  #isDegraded = false;
  #statusVersion = 0;
  #end: (LogEntry & { readonly event: ReplyEnd }) | undefined;
  #unstoredEnd: ReplyFailure | undefined;
  #settled = false;
  #lastToldAt: number;
  readonly #listeners = new Set<() => void>();

  constructor(identity: ReplyIdentity, clock: Clock) {
    this.identity = identity;
    this.#clock = clock;
    this.#lastToldAt = clock.elapsed();
  }

  /** The sequence number of the last entry. */
  get seq(): number {
    return this.#entries.length;
  }

  get end(): (LogEntry & { readonly event: ReplyEnd }) | undefined {
    return this.#end;
  }

  /** Why the watch ends although the end is not in the log: the store did not take it. */
  get unstoredEnd(): ReplyFailure | undefined {
    return this.#unstoredEnd;
  }

  /** Whether nothing more will come, not even a status. Without an end, the log goes on elsewhere. */
  get settled(): boolean {
    return this.#settled;
  }

  /** Rises with every status, and with every reminder of it. */
  get statusVersion(): number {
    return this.#statusVersion;
  }

  get status(): ReplyStatus | undefined {
    if (this.#isDegraded) return { state: 'degraded' };
    return this.#status && toReplyStatus(this.#status, this.#clock.elapsed());
  }

  /** UTF-16 units of both channels. */
  get units(): number {
    return this.#texts.content.length + this.#texts.thinking.length;
  }

  text(channel: Channel): string {
    return this.#texts[channel];
  }

  /** Entries after `seq`, oldest first. */
  entriesAfter(seq: number, limit = Infinity): readonly LogEntry[] {
    return this.#entries.slice(seq, seq + limit);
  }

  /** Calls `listener` at every change, until disposed. */
  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Shows what the store has acknowledged: the next entries of the log. What is shown already is passed over. */
  publish(entries: readonly LogEntry[]): void {
    for (const entry of entries) {
      if (this.#end || entry.seq !== this.seq + 1) continue;
      this.#entries.push(entry);
      if (entry.event.type === 'text-delta') this.#texts[entry.event.channel] += entry.event.text;
      if (isEnd(entry)) this.#end = entry;
    }
    if (this.#isDegraded) this.#statusVersion += 1; // the store is back: what the model does counts again
    this.#isDegraded = false;
    this.#tell();
  }

  setStatus(status: LiveStatus): void {
    if (status.state === 'generating' && this.#status?.state === 'generating') return;
    this.#status = status;
    if (this.#isDegraded) return; // told when the store is back
    this.#statusVersion += 1;
    this.#tell();
  }

  /** The store is away; what was shown is kept. Until it acknowledges something. */
  degrade(): void {
    if (this.#isDegraded || this.#end) return;
    this.#status ??= { state: 'generating' };
    this.#isDegraded = true;
    this.#statusVersion += 1;
    this.#tell();
  }

  /** Ends the watch of everybody without an end in the log. */
  failToEnd(failure: ReplyFailure): void {
    this.#unstoredEnd ??= failure;
    this.#tell();
  }

  /** Nothing more will come. */
  settle(): void {
    this.#settled = true;
    this.#tell();
  }

  /** Reminds watchers of the status when nothing was said for a while. */
  heartbeat(): void {
    if (this.#end || this.#clock.elapsed() - this.#lastToldAt < HEARTBEAT_MS) return;
    this.#status ??= { state: 'generating' };
    this.#statusVersion += 1;
    this.#tell();
  }

  #tell(): void {
    this.#lastToldAt = this.#clock.elapsed();
    for (const listener of this.#listeners) listener();
  }
}
