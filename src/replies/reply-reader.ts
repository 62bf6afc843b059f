import type { Clock } from '../clock.ts';
import { isEnd, type Channel, type LogEntry, type ReplyEnd, type ReplyFailure } from '../conversation/reply-event.ts';
import { toDigest, toReplyEnd, toTranscript, type Transcript } from '../conversation/transcript.ts';
import type { ChatStore, ReplyRecord } from '../stores/chat-store.ts';
import type { LiveReply } from './live-reply.ts';
import type { ReplyStatus } from './reply-status.ts';

/** What a watcher is told, in order. */
export type ReplyUpdate =
  /** The next entries of the log. */
  | { readonly type: 'entries'; readonly entries: readonly LogEntry[] }
  | { readonly type: 'status'; readonly status: ReplyStatus }
  /** What the watcher has is not what is stored: `text` is the channel's whole text as of `seq`. */
  | { readonly type: 'rewind'; readonly seq: number; readonly channel: Channel; readonly text: string }
  /** The watch ends although the end is not stored. */
  | { readonly type: 'unstored-end'; readonly failure: ReplyFailure };

/** What the watcher has seen. */
export interface Position {
  /** The last event; 0 is none. */
  readonly seq: number;
  /** Of `content` as of `seq`, where the watcher knows them: they are compared with the stored text. */
  readonly at?: number;
  readonly digest?: string;
}

/** A reply's texts so far. */
export interface ReplyTexts extends Transcript {
  /** The last event that they cover. */
  readonly seq: number;
  /** How it ended, when it has. */
  readonly end?: ReplyEnd;
}

const DELETED: ReplyUpdate = {
  type: 'unstored-end',
  failure: { code: 'not_found', message: 'The conversation was deleted.' },
};

const PAGE = 200;
/** How often the log is looked at when nobody tells that it has grown. */
const TAIL_CHECK_MS = 1_000;

/**
 * Serves any number of watchers of a reply, live or finished, from any position, without a gap or a double.
 * A reply that this instance writes is read from memory, any other from the store: both are the log.
 */
export class ReplyReader {
  readonly #store: ChatStore;
  readonly #clock: Clock;
  readonly #findLive: (messageId: string) => LiveReply | undefined;

  constructor(store: ChatStore, clock: Clock, findLive: (messageId: string) => LiveReply | undefined) {
    this.#store = store;
    this.#clock = clock;
    this.#findLive = findLive;
  }

  /** Ends after the reply's terminal event (and, where it was cancelled, after `released`), or when aborted. */
  async *watch(record: ReplyRecord, position: Position, signal: AbortSignal): AsyncGenerator<ReplyUpdate, void> {
    let { seq } = position;
    const rewinds = await this.#check(record, position);
    for (const rewind of rewinds) yield rewind;
    seq = rewinds[0]?.seq ?? seq;
    while (!signal.aborted) {
      const live = this.#findLive(record.messageId);
      if (live) return yield* this.#watchLive(live, seq, signal);
      const entries = await this.#read(record.messageId, seq);
      if (entries.length > 0) {
        seq += entries.length;
        yield { type: 'entries', entries };
      }
      if (entries.some(isEnd)) return;
      if (entries.length > 0) continue;
      const end = await this.#loadEnd(record.messageId);
      if (end) return yield { type: 'entries', entries: [end] };
      if (!(await this.#store.loadReply(record.messageId))) return yield DELETED;
      await this.#clock.sleep(TAIL_CHECK_MS, signal).catch(() => undefined);
    }
  }

  /** A reply's texts so far, and how it ended. */
  async view(record: ReplyRecord): Promise<ReplyTexts> {
    const message = await this.#store.loadReplyMessage(record.messageId);
    if (message) {
      const end = toReplyEnd(message.content, message.outcome, message.createdAt);
      return { content: message.content, thinking: message.thinking ?? '', end, seq: message.seq };
    }
    const entries = await this.#readAll(record.messageId);
    return { ...toTranscript(entries), seq: entries.length };
  }

  /** Entries after `after`, at most `limit`; of a log whose life is over, its end alone. */
  async readPage(record: ReplyRecord, after: number, limit: number): Promise<readonly LogEntry[]> {
    const live = this.#findLive(record.messageId);
    const entries = live
      ? live.entriesAfter(after).slice(0, limit)
      : await this.#store.readLog(record.messageId, after, limit);
    if (entries.length > 0) return entries;
    const end = await this.#loadEnd(record.messageId);
    return end && end.seq > after ? [end] : [];
  }

  async #read(messageId: string, seq: number): Promise<readonly LogEntry[]> {
    return this.#store.readLog(messageId, seq, PAGE);
  }

  async *#watchLive(live: LiveReply, after: number, signal: AbortSignal): AsyncGenerator<ReplyUpdate, void> {
    let wake = (): void => undefined;
    const onAbort = (): void => wake();
    signal.addEventListener('abort', onAbort, { once: true });
    using _listening = live.onChange(() => wake());
    let seq = live.end && after >= live.end.seq ? live.end.seq - 1 : after; // who asks after the end hears it again
    let statusVersion = 0;
    try {
      while (!signal.aborted) {
        if (live.statusVersion !== statusVersion) {
          statusVersion = live.statusVersion;
          const { status, end } = live;
          if (status && (!end || status.state === 'released')) yield { type: 'status', status };
        } else if (live.seq > seq) {
          const entries = live.entriesAfter(seq);
          seq += entries.length;
          yield { type: 'entries', entries };
        } else if (live.unstoredEnd && !live.end) {
          return yield { type: 'unstored-end', failure: live.unstoredEnd };
        } else if (live.settled) {
          return;
        } else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** Rewinds, when what the watcher has is not the beginning of what is stored. */
  async #check(record: ReplyRecord, position: Position): Promise<readonly (ReplyUpdate & { type: 'rewind' })[]> {
    if (position.seq === 0) return [];
    const entries = await this.#readAll(record.messageId);
    if (entries.length === 0) return []; // the log's life is over: the terminal event has the whole text
    const seen = toTranscript(entries.slice(0, position.seq)).content;
    const isPrefix =
      position.seq <= entries.length &&
      (position.at === undefined || position.at === seen.length) &&
      (position.digest === undefined || position.digest === toDigest(seen));
    if (isPrefix) return [];
    const known = entries.filter((entry) => !isEnd(entry)); // the end is told after the texts
    const { content, thinking } = toTranscript(known);
    const seq = known.length;
    return [
      ...(thinking ? [{ type: 'rewind', seq, channel: 'thinking', text: thinking } as const] : []),
      { type: 'rewind', seq, channel: 'content', text: content },
    ];
  }

  async #readAll(messageId: string): Promise<readonly LogEntry[]> {
    const live = this.#findLive(messageId);
    if (live) return live.entriesAfter(0);
    const entries: LogEntry[] = [];
    for (
      let page = await this.#read(messageId, 0);
      page.length > 0;
      page = await this.#read(messageId, entries.length)
    ) {
      entries.push(...page);
    }
    return entries;
  }

  /** The terminal event of a reply whose log is no more, made from its message. */
  async #loadEnd(messageId: string): Promise<LogEntry | undefined> {
    const message = await this.#store.loadReplyMessage(messageId);
    return message && { seq: message.seq, event: toReplyEnd(message.content, message.outcome, message.createdAt) };
  }
}
