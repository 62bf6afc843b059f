import { DatabaseSync } from 'node:sqlite';
import { expect } from 'vitest';
import { Deadlines } from '../../src/deadlines.ts';
import type { LLMError } from '../../src/errors.ts';
import type { AssistantMessage } from '../../src/conversation/message.ts';
import { isEnd, type LogEntry, type ReplyEnd, type ReplyOutcome } from '../../src/conversation/reply-event.ts';
import { toDigest, toTranscript } from '../../src/conversation/transcript.ts';
import { Replies } from '../../src/replies/replies.ts';
import type { Position, ReplyUpdate } from '../../src/replies/reply-update.ts';
import type { ReplyStatus } from '../../src/replies/reply-status.ts';
import type { ReplyRecord } from '../../src/stores/chat-store.ts';
import { SqliteChatStore } from '../../src/stores/sqlite/sqlite-chat-store.ts';
import { systemIds } from '../../src/system.ts';
import { beginReply, newName, readAll } from '../contract/chat-store/fixtures.ts';
import { ScriptedProvider } from '../support/scripted-provider.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import { FaultyStore } from './faulty-store.ts';

export interface RigOptions {
  readonly turnTimeoutMs?: number;
}

/** A reply that is being written, and the backend that it is written from. */
export interface Running {
  readonly record: ReplyRecord;
  readonly provider: ScriptedProvider;
}

const INSTANCE = 'here';
export const SECOND = 1_000;

/** Replies over a real store, in virtual time. */
export class Rig implements AsyncDisposable {
  readonly clock = new VirtualClock();
  readonly store: FaultyStore;
  readonly deadlines: Deadlines;
  readonly replies: Replies;
  readonly unexpected: LLMError[] = [];
  readonly ended: ReplyOutcome[] = [];
  readonly sealed: number[] = [];
  readonly measured: number[] = [];
  /** What still waits for its time. */
  timers = 0;

  constructor({ turnTimeoutMs = 600 * SECOND }: RigOptions = {}) {
    const { clock } = this;
    this.#countTimers();
    const database = new DatabaseSync(':memory:');
    this.store = new FaultyStore(new SqliteChatStore({ database, clock, ids: systemIds, instance: INSTANCE }));
    this.deadlines = new Deadlines(clock);
    this.replies = new Replies({
      store: this.store,
      clock,
      deadlines: this.deadlines,
      turnTimeoutMs,
      log: {
        onUnexpected: (error) => void this.unexpected.push(error),
        onEnd: (_, outcome) => void this.ended.push(outcome),
        onSealed: (count) => void this.sealed.push(count),
      },
    });
  }

  /** As the service starts: abandoned replies are looked for, leases are renewed. */
  static async open(options: RigOptions = {}): Promise<Rig> {
    const rig = new Rig(options);
    await rig.replies.initialize();
    return rig;
  }

  /** A reply that is begun in a conversation of its own; nobody writes it yet. */
  async begin(instance = INSTANCE): Promise<{ readonly record: ReplyRecord; readonly token: string }> {
    const harness = { store: this.store, instance, now: () => this.clock.now() };
    const { messageId, token } = await beginReply(harness, { conversationId: newName('conversation') });
    const record = await this.store.loadReply(messageId);
    if (!record) throw new Error('The reply has not begun.');
    return { record, token };
  }

  async start(): Promise<Running> {
    const { record, token } = await this.begin();
    const provider = new ScriptedProvider();
    this.replies.start(record, {
      token,
      source: (signal) => provider.read(signal),
      arrivedAt: this.clock.elapsed(),
      promptTokens: 7,
      onPromptMeasured: (count) => void this.measured.push(count),
    });
    await this.clock.settle();
    return { record, provider };
  }

  /** A reply that has said these texts, one entry each, and has ended. */
  async startEnded(...texts: readonly string[]): Promise<Running> {
    const running = await this.start();
    for (const text of texts) {
      running.provider.say(text);
      await this.clock.settle();
    }
    running.provider.finish();
    await this.clock.settle();
    return running;
  }

  watch(record: ReplyRecord, position: Position = { seq: 0 }): Watcher {
    return new Watcher(this.replies, record, position);
  }

  /** What is stored of a reply that has ended, after a look at all that must hold of it. */
  async stored({ record: { messageId } }: Pick<Running, 'record'>): Promise<Stored> {
    const log = await readAll(this.store, { messageId });
    return checkStored(log, await this.store.loadReplyMessage(messageId));
  }

  #countTimers(): void {
    const sleep = this.clock.sleep.bind(this.clock);
    const every = this.clock.every.bind(this.clock);
    this.clock.sleep = async (ms, signal) => {
      this.timers += 1;
      await sleep(ms, signal).finally(() => (this.timers -= 1));
    };
    this.clock.every = (ms, callback) => {
      this.timers += 1;
      const timer = every(ms, callback);
      return {
        [Symbol.dispose]: () => {
          this.timers -= 1;
          timer[Symbol.dispose]();
        },
      };
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.store.mend();
    this.store.clearFaults();
    const disposing = this.replies[Symbol.asyncDispose]();
    await this.clock.advance(3 * SECOND); // an end that was refused is tried again
    await disposing;
    this.deadlines[Symbol.dispose]();
    await this.store[Symbol.asyncDispose]();
  }
}

export interface Stored {
  readonly log: readonly LogEntry[];
  readonly content: string;
  readonly thinking: string;
  readonly end: ReplyEnd;
}

const checkStored = (log: readonly LogEntry[], message: AssistantMessage | undefined): Stored => {
  const last = log.at(-1);
  if (!message || !last || !isEnd(last)) throw new Error('The reply has not ended in the store.');
  const { content, thinking } = checkLog(log);
  expect(log.filter(isEnd)).toHaveLength(1);
  expect(message).toMatchObject({ content, seq: last.seq, outcome: { state: last.event.state } });
  expect(message.thinking ?? '').toBe(thinking);
  expect(last.event).toMatchObject({ text: content, length: content.length, digest: toDigest(content) });
  return { log, content, thinking, end: last.event };
};

/** Sequence numbers without a hole, offsets that chain, text that UTF-8 can hold; gives the texts. */
export const checkLog = (log: readonly LogEntry[]): { readonly content: string; readonly thinking: string } => {
  expect(log.map(({ seq }) => seq)).toStrictEqual(log.map((_, index) => index + 1));
  const lengths = { content: 0, thinking: 0 };
  for (const { event } of log) {
    if (event.type !== 'text-delta') continue;
    expect(event.at).toBe(lengths[event.channel]);
    expect(event.text.isWellFormed()).toBe(true);
    expect(event.text).not.toBe('');
    lengths[event.channel] += event.text.length;
  }
  return toTranscript(log);
};

/** A watcher that pulls as fast as it can, and keeps what it was told. */
export class Watcher {
  readonly updates: ReplyUpdate[] = [];
  readonly #leaving = new AbortController();
  isOver = false;
  error: unknown;

  constructor(replies: Replies, record: ReplyRecord, position: Position) {
    void this.#pull(replies.watch(record, position, this.#leaving.signal));
  }

  get entries(): readonly LogEntry[] {
    return this.updates.flatMap((update) => (update.type === 'entries' ? update.entries : []));
  }

  get seqs(): readonly number[] {
    return this.entries.map(({ seq }) => seq);
  }

  get text(): string {
    return toTranscript(this.entries).content;
  }

  get end(): ReplyEnd | undefined {
    return this.entries.find(isEnd)?.event;
  }

  get statuses(): readonly ReplyStatus[] {
    return this.updates.flatMap((update) => (update.type === 'status' ? [update.status] : []));
  }

  get states(): readonly string[] {
    return this.statuses.map(({ state }) => state);
  }

  get rewinds() {
    return this.updates.filter((update) => update.type === 'rewind');
  }

  get unstoredEnd(): string | undefined {
    return this.updates.find((update) => update.type === 'unstored-end')?.failure.code;
  }

  leave(): void {
    this.#leaving.abort();
  }

  async #pull(watch: AsyncGenerator<ReplyUpdate, void>): Promise<void> {
    try {
      for await (const update of watch) this.updates.push(update);
    } catch (error) {
      this.error = error;
    } finally {
      this.isOver = true;
    }
  }
}
