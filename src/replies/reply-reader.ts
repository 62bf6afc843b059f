import type { Clock } from '../clock.ts';
import {
  isEnd,
  type LogEntry,
  type ReplyEnd,
  type ReplyFailure,
  type ReplyOutcome,
} from '../conversation/reply-event.ts';
import { toDigest, toReplyEnd, toTranscript, type Transcript } from '../conversation/transcript.ts';
import type { ChatStore, ReplyRecord } from '../stores/chat-store.ts';
import type { LiveReply } from './live-reply.ts';
import { Nudge } from './nudge.ts';
import { askPatiently } from './patience.ts';
import type { Position, ReplyUpdate } from './reply-update.ts';

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

/** Why a reply failed that another has gone on with, when nothing else is known of it any more. */
const BROKEN_OFF: ReplyFailure = { code: 'interrupted', message: 'The reply broke off. Another has gone on with it.' };

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
    const { messageId } = record;
    let from: Position | undefined = position;
    while (from && !signal.aborted) {
      const known: Position = from;
      const rewinds: readonly Rewind[] =
        (yield* askPatiently(this.#clock, () => this.#check(messageId, known), signal)) ?? [];
      yield* rewinds;
      const seq: number = rewinds[0]?.seq ?? from.seq;
      const live: LiveReply | undefined = this.#findLive(messageId);
      from = live ? yield* watchLive(live, seq, signal) : yield* this.#watchStore(messageId, seq, signal);
    }
  }

  /** A reply's texts so far, and how it ended. */
  async view(record: ReplyRecord): Promise<ReplyTexts> {
    const ended = await this.#loadEnded(record.messageId);
    if (ended) return { content: ended.end.text, thinking: ended.thinking, end: ended.end, seq: ended.seq };
    const entries = await this.#readAll(record.messageId);
    const end = entries.findLast(isEnd)?.event; // it may have ended meanwhile
    return { ...toTranscript(entries), seq: entries.length, ...(end && { end }) };
  }

  /** Entries after `after`, at most `limit`; of a log whose life is over, its end alone. */
  async readPage({ messageId }: ReplyRecord, after: number, limit: number): Promise<readonly LogEntry[]> {
    const live = this.#findLive(messageId);
    const entries = live ? live.entriesAfter(after, limit) : await this.#read(messageId, after, limit);
    return entries.filter(({ seq }) => seq > after); // the end is not told again
  }

  /** From the store, looked at again and again; gives the position when this instance begins to write the reply. */
  async *#watchStore(
    messageId: string,
    after: number,
    signal: AbortSignal,
  ): AsyncGenerator<ReplyUpdate, Position | undefined> {
    let seq = after;
    using nudge = new Nudge(this.#store, this.#clock, messageId);
    while (!signal.aborted) {
      if (this.#findLive(messageId)) return { seq };
      const told: number = seq;
      const entries = yield* askPatiently(this.#clock, () => this.#look(messageId, told), signal);
      if (signal.aborted) return;
      if (!entries) return yield DELETED;
      // A store that came back without its tail, and an end in the tail's place: the watcher has more than is stored.
      if (told > after && entries.some((entry) => entry.seq <= told)) return { seq: told + 1 };
      if (entries.length > 0) {
        nudge.touch();
        yield { type: 'entries', entries };
      }
      if (entries.some(isEnd)) return;
      seq = entries.at(-1)?.seq ?? seq;
      if (entries.length > 0) continue;
      if (nudge.isSilent()) yield { type: 'status', status: { state: 'generating' } };
      await nudge.wait(TAIL_CHECK_MS, signal);
    }
  }

  /** What has come after `after`; undefined when there is no such reply any more. */
  async #look(messageId: string, after: number): Promise<readonly LogEntry[] | undefined> {
    const entries = await this.#read(messageId, after, PAGE);
    return entries.length > 0 || (await this.#store.loadReply(messageId)) ? entries : undefined;
  }

  /** Rewinds, when what the watcher has is not the beginning of what is stored. */
  async #check(messageId: string, position: Position): Promise<readonly Rewind[]> {
    if (position.seq === 0 && !position.at) return [];
    const entries = await this.#readAll(messageId);
    if (isPrefix(position, entries)) return [];
    if (entries.length === 0 && !(await this.#isRunning(messageId))) return []; // its log's life is over
    const known = entries.filter((entry) => !isEnd(entry)); // the end is told after the texts
    const { content, thinking } = toTranscript(known);
    const seq = known.length;
    return [
      { type: 'rewind', seq, channel: 'thinking', text: thinking },
      { type: 'rewind', seq, channel: 'content', text: content },
    ];
  }

  async #isRunning(messageId: string): Promise<boolean> {
    return (await this.#store.loadReply(messageId))?.state === 'running';
  }

  async #readAll(messageId: string): Promise<readonly LogEntry[]> {
    const live = this.#findLive(messageId);
    if (live) return live.entriesAfter(0);
    const entries: LogEntry[] = [];
    let page: readonly LogEntry[];
    do {
      page = await this.#store.readLog(messageId, entries.length, PAGE);
      entries.push(...page);
    } while (page.length > 0);
    return entries;
  }

  /** Entries after `after`; of a log whose life is over, its end alone, made from its message. */
  async #read(messageId: string, after: number, limit: number): Promise<readonly LogEntry[]> {
    const entries = await this.#store.readLog(messageId, after, limit);
    if (entries.length > 0) return entries;
    const ended = await this.#loadEnded(messageId);
    if (!ended) return [];
    const rest = await this.#store.readLog(messageId, after, limit); // the log may have grown before it ended
    return rest.length > 0 ? rest : [{ seq: ended.seq, event: ended.end }];
  }

  /** How a reply has ended, by its message. Where another reply has gone on with that, its log still says it. */
  async #loadEnded(messageId: string): Promise<Ended | undefined> {
    const message = await this.#store.loadReplyMessage(messageId);
    const record = message && (await this.#store.loadReply(messageId));
    if (!record) return undefined;
    const isGrown = message.requestId !== record.requestId;
    const last = isGrown ? (await this.#store.readLog(messageId, record.seq - 1, 1)).find(isEnd) : undefined;
    if (last) return { thinking: message.thinking ?? '', seq: record.seq, end: last.event };
    const outcome = isGrown ? toOwnOutcome(record, message.outcome) : message.outcome;
    const end = toReplyEnd(message.content, outcome, message.createdAt);
    return { thinking: message.thinking ?? '', seq: record.seq, end };
  }
}

interface Ended {
  readonly thinking: string;
  readonly seq: number;
  readonly end: ReplyEnd;
}

/**
 * Of a reply whose message has grown: that message says how the last one ended that went on with it. One that is done
 * can only be gone on with where it has reached its number of tokens.
 */
const toOwnOutcome = ({ state }: ReplyRecord, { usage, timings }: ReplyOutcome): ReplyOutcome => {
  if (state === 'failed') return { state, failure: BROKEN_OFF, usage, timings };
  return state === 'cancelled'
    ? { state, finishReason: 'cancelled', usage, timings }
    : { state: 'done', finishReason: 'length', usage, timings };
};

type Rewind = Extract<ReplyUpdate, { type: 'rewind' }>;

/** Whether what the watcher has is the beginning of the log. */
const isPrefix = ({ seq, at, digest }: Position, entries: readonly LogEntry[]): boolean => {
  if (seq > entries.length) return false;
  if (at === undefined && digest === undefined) return true;
  const { content } = toTranscript(entries.slice(0, seq));
  return (at === undefined || at === content.length) && (digest === undefined || digest === toDigest(content));
};

/** From memory. Gives what was told when the reply is no longer written here, and goes on in the store. */
async function* watchLive(
  live: LiveReply,
  after: number,
  signal: AbortSignal,
): AsyncGenerator<ReplyUpdate, Position | undefined> {
  let wake = (): void => undefined;
  const onAbort = (): void => wake();
  signal.addEventListener('abort', onAbort, { once: true });
  using _listening = live.onChange(() => wake());
  const cursor = new LiveCursor(live, after);
  try {
    while (!signal.aborted) {
      const update = cursor.next();
      if (update) yield update;
      if (update?.type === 'unstored-end') return;
      if (update) continue;
      if (live.settled) return live.end ? undefined : cursor.position();
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** How far a watcher has come in a live reply. It keeps nothing of what it has told. */
class LiveCursor {
  readonly #live: LiveReply;
  #seq: number;
  #statusVersion = 0;

  constructor(live: LiveReply, after: number) {
    this.#live = live;
    this.#seq = live.end && after >= live.end.seq ? live.end.seq - 1 : after; // who asks after the end hears it again
  }

  /** What the watcher has not been told, if there is anything. */
  next(): ReplyUpdate | undefined {
    const live = this.#live;
    return (
      (live.end ? undefined : this.#nextStatus()) ??
      this.#nextEntries() ??
      (live.end ? this.#nextRelease() : undefined) ??
      (live.unstoredEnd && !live.end ? { type: 'unstored-end', failure: live.unstoredEnd } : undefined)
    );
  }

  /** What was told, so that it can be compared with what the store has. */
  position(): Position {
    const { content } = toTranscript(this.#live.entriesAfter(0, this.#seq));
    return { seq: this.#seq, at: content.length, digest: toDigest(content) };
  }

  #nextStatus(): ReplyUpdate | undefined {
    const { status, statusVersion } = this.#live;
    if (statusVersion === this.#statusVersion) return undefined;
    this.#statusVersion = statusVersion;
    return status && { type: 'status', status };
  }

  /** `released` is the one status that follows the end. */
  #nextRelease(): ReplyUpdate | undefined {
    return this.#live.status?.state === 'released' ? this.#nextStatus() : undefined;
  }

  #nextEntries(): ReplyUpdate | undefined {
    const entries = this.#live.entriesAfter(this.#seq, PAGE);
    this.#seq += entries.length;
    return entries.length > 0 ? { type: 'entries', entries } : undefined;
  }
}
