import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LogEntry } from '../../src/conversation/reply-event.ts';
import { toDigest, toTranscript } from '../../src/conversation/transcript.ts';
import { LiveReply } from '../../src/replies/live-reply.ts';
import { ReplyReader } from '../../src/replies/reply-reader.ts';
import type { Position } from '../../src/replies/reply-update.ts';
import { DEFAULT_RETENTION } from '../../src/stores/chat-store.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import { Rig, SECOND, type Running, type Watcher } from './rig.ts';

const WORDS = Array.from({ length: 60 }, (_, index) => `word${index} `);
/** A reply that has ended leaves the memory of its instance after a while. */
const FORGOTTEN_MS = 6 * SECOND;

describe('a watcher', () => {
  it('that was cut at any event of a finished reply gets exactly the rest, from memory and from the store', async () => {
    await using rig = await Rig.open();
    const running = await rig.startEnded(...WORDS);
    const { log } = await rig.stored(running);
    expect(log).toHaveLength(WORDS.length + 1);
    for (let where = 0; where < 2; where++) {
      // first from memory, then from the store
      const watchers = [0, ...log.map(({ seq }) => seq)].map((seq) => ({
        seq,
        watcher: rig.watch(running.record, toPosition(log, seq)),
      }));
      await rig.clock.settle();
      for (const { seq, watcher } of watchers) {
        const rest = log.slice(Math.min(seq, log.length - 1)); // the end is told again
        expect(watcher.updates).toStrictEqual([{ type: 'entries', entries: rest }]);
        expect(watcher.isOver).toBe(true);
      }
      await rig.clock.advance(FORGOTTEN_MS);
    }
  });

  it('that comes and goes while the reply is written has every event once', async () => {
    const cuts = fc.array(fc.record({ words: fc.integer({ min: 0, max: 4 }), leaves: fc.boolean() }), {
      maxLength: 12,
    });
    await using rig = await Rig.open();
    const property = fc.asyncProperty(cuts, async (steps) => {
      const running = await rig.start();
      const parts: Watcher[] = [rig.watch(running.record)];
      for (const { words, leaves } of steps) {
        for (let word = 0; word < words; word++) running.provider.say(`${word} `);
        if (words % 2 === 0) await rig.clock.settle();
        if (!leaves) continue;
        parts.at(-1)?.leave();
        await rig.clock.settle();
        const seen = parts.flatMap((watcher) => watcher.entries);
        parts.push(rig.watch(running.record, toPosition(seen, seen.length)));
      }
      running.provider.say('!').finish();
      await rig.clock.settle();
      const { log } = await rig.stored(running);
      expect(parts.flatMap((watcher) => watcher.entries)).toStrictEqual(log);
      expect(parts.flatMap((watcher) => watcher.rewinds)).toStrictEqual([]);
    });
    await fc.assert(property, { numRuns: 40 });
  });

  it('that does not pull holds up nobody, and finds all of it in order when it does', async () => {
    await using rig = await Rig.open();
    const running = await rig.start();
    const slow = rig.replies.watch(running.record, { seq: 0 }, new AbortController().signal);
    running.provider.say('first ');
    await rig.clock.settle();
    const first = await slow.next();
    const quick = rig.watch(running.record);
    for (let word = 0; word < 500; word++) {
      running.provider.say(`${word} `);
      if (word % 5 === 0) await rig.clock.settle();
    }
    running.provider.finish();
    await rig.clock.settle();
    expect(quick.isOver).toBe(true);

    const updates = [first.value];
    for await (const update of slow) updates.push(update);
    const entries = updates.flatMap((update) => (update?.type === 'entries' ? update.entries : []));
    expect(entries).toStrictEqual((await rig.stored(running)).log);
  });

  it('is given a long log in pages', async () => {
    await using rig = await Rig.open();
    const running = await rig.startEnded(...Array.from({ length: 450 }, (_, index) => `${index} `));
    for (let where = 0; where < 2; where++) {
      const watcher = rig.watch(running.record);
      await rig.clock.settle();
      expect(watcher.updates.map((update) => (update.type === 'entries' ? update.entries.length : 0))).toStrictEqual([
        200, 200, 51,
      ]);
      await rig.clock.advance(FORGOTTEN_MS);
    }
  });

  it('that leaves early leaves nothing behind', async () => {
    await using rig = await Rig.open();
    const { record } = await rig.begin();
    const { live, count } = countListeners(new LiveReply(record, rig.clock));
    const reader = new ReplyReader(rig.store, rig.clock, () => live);
    live.publish([{ seq: 1, event: toDelta('Hello.') }]);
    const watch = reader.watch(record, { seq: 0 }, new AbortController().signal);
    await watch.next();
    expect(count()).toBe(1);
    await watch.return();
    expect(count()).toBe(0);

    const leaving = new AbortController();
    const waiting = reader.watch(record, { seq: 1 }, leaving.signal).next();
    await rig.clock.settle();
    expect(count()).toBe(1);
    leaving.abort();
    expect(await waiting).toStrictEqual({ done: true, value: undefined });
    expect(count()).toBe(0);
  });

  it('that comes before its reply is written here waits for it, and then hears it live', async () => {
    await using rig = await Rig.open();
    const { record, token } = await rig.begin();
    const watcher = rig.watch(record);
    await rig.clock.advance(500);
    rig.replies.start(record, {
      token,
      arrivedAt: rig.clock.elapsed(),
      promptTokens: 0,
      async *source() {
        yield [{ type: 'text-delta', channel: 'content', text: 'Here.' }];
        yield [{ type: 'finish', finishReason: 'stop' }];
      },
    });
    await rig.clock.advance(600);
    expect(watcher.text).toBe('Here.');
    expect(watcher.isOver).toBe(true);
  });

  it('hears the end of a reply that nobody writes here any more', async () => {
    await using rig = await Rig.open();
    const { record, token } = await rig.begin();
    const watcher = rig.watch(record);
    const append = { messageId: record.messageId, token, seq: 1, events: [toDelta('Elsewhere.')] };
    await rig.store.append([append]);
    await rig.clock.advance(SECOND);
    expect(watcher.text).toBe('Elsewhere.');
    await rig.replies.cancel(record);
    await rig.clock.advance(SECOND);
    expect(watcher.seqs).toStrictEqual([1, 2]);
    expect(watcher.isOver).toBe(true);
  });

  it('gets what was appended and the end, when both came between two looks at the log', async () => {
    await using rig = await Rig.open();
    const { record, token } = await rig.begin();
    let looks = 0;
    rig.store.always(async (work) => {
      const seen = await work();
      if (++looks !== 1) return seen;
      await rig.store.append([{ messageId: record.messageId, token, seq: 1, events: [toDelta('Late.')] }]);
      await rig.replies.cancel(record);
      return seen; // an empty page, out of date when it arrives
    }, 'readLog');
    const watcher = rig.watch(record);
    await rig.clock.settle();
    expect(watcher.seqs).toStrictEqual([1, 2]);
  });

  it('of a deleted conversation is told that it is not there', async () => {
    await using rig = await Rig.open();
    const live = await rig.start();
    const remote = await rig.begin();
    const watchers = [live, remote].map(({ record }) => rig.watch(record));
    await rig.clock.settle();
    for (const { record } of [live, remote]) await rig.store.deleteConversation(record);
    await rig.clock.advance(2 * SECOND);
    expect(watchers.map((watcher) => watcher.unstoredEnd)).toStrictEqual(['not_found', 'not_found']);
    expect(watchers.map((watcher) => watcher.isOver)).toStrictEqual([true, true]);
    expect(live.provider.isOver).toBe(true);
  });
});

describe('a resume', () => {
  const withReply = async (use: (rig: Rig, running: Running) => Promise<void>): Promise<void> => {
    await using rig = await Rig.open();
    const running = await rig.start();
    running.provider.send({ type: 'text-delta', channel: 'thinking', text: 'Hm.' });
    await rig.clock.settle();
    running.provider.say('The ');
    await rig.clock.settle();
    running.provider.say('kettle');
    await rig.clock.settle();
    await use(rig, running);
  };
  const rewinds = [
    { type: 'rewind', seq: 3, channel: 'thinking', text: 'Hm.' },
    { type: 'rewind', seq: 3, channel: 'content', text: 'The kettle' },
  ];

  it.each<[string, Position]>([
    ['another length', { seq: 2, at: 3 }],
    ['another digest', { seq: 2, at: 4, digest: 'deadbeef' }],
    ['a place behind the log', { seq: 9 }],
    ['text before the first event', { seq: 0, at: 2 }],
  ])('with %s rewinds to the whole text, and goes on from there', async (_, position) => {
    await withReply(async (rig, running) => {
      const watcher = rig.watch(running.record, position);
      await rig.clock.settle();
      running.provider.say(' boils.').finish();
      await rig.clock.settle();
      expect(watcher.rewinds).toStrictEqual(rewinds);
      expect(watcher.seqs).toStrictEqual([4, 5]);
      expect(watcher.end?.text).toBe('The kettle boils.');

      await rig.clock.advance(FORGOTTEN_MS);
      const later = rig.watch(running.record, position);
      await rig.clock.settle();
      expect(later.rewinds).toMatchObject([{ seq: 4 }, { seq: 4, text: 'The kettle boils.' }]);
      expect(later.seqs).toStrictEqual([5]);
    });
  });

  it('with what is stored is not rewound', async () => {
    await withReply(async (rig, { record }) => {
      const watchers = [{ seq: 2, at: 4, digest: toDigest('The ') }, { seq: 3 }, { seq: 1, at: 0 }].map((position) =>
        rig.watch(record, position),
      );
      await rig.clock.settle();
      expect(watchers.map((watcher) => watcher.rewinds)).toStrictEqual([[], [], []]);
      expect(watchers.map((watcher) => watcher.seqs)).toStrictEqual([[3], [], [2, 3]]);
    });
  });

  it('behind a log that is still empty begins anew', async () => {
    await using rig = await Rig.open();
    const { record, provider } = await rig.start();
    const watcher = rig.watch(record, { seq: 5, at: 20 });
    await rig.clock.settle();
    provider.say('First.').finish();
    await rig.clock.settle();
    expect(watcher.rewinds).toMatchObject([
      { seq: 0, text: '' },
      { seq: 0, text: '' },
    ]);
    expect(watcher.seqs).toStrictEqual([1, 2]);
  });

  it('of a reply whose log is over gets the end alone, from wherever', async () => {
    await using rig = await Rig.open();
    const running = await rig.startEnded('The ', 'kettle');
    const { end } = await rig.stored(running);
    await rig.clock.jump(DEFAULT_RETENTION.logMs + SECOND);
    for (const position of [{ seq: 0 }, { seq: 1, at: 4 }, { seq: 2, at: 99 }, { seq: 77 }]) {
      const watcher = rig.watch(running.record, position);
      await rig.clock.settle();
      expect(watcher.updates).toStrictEqual([{ type: 'entries', entries: [{ seq: 3, event: end }] }]);
      expect(watcher.isOver).toBe(true);
    }
    expect(await rig.replies.readPage(running.record, 0, 10)).toStrictEqual([{ seq: 3, event: end }]);
    expect(await rig.replies.readPage(running.record, 3, 10)).toStrictEqual([]);
    expect(await rig.replies.view(running.record)).toStrictEqual({ content: 'The kettle', thinking: '', end, seq: 3 });
  });
});

describe('a page of a log', () => {
  it('is what follows, whether the reply runs, has just ended, or is forgotten here', async () => {
    await using rig = await Rig.open();
    const running = await rig.start();
    for (const text of ['a', 'b', 'c']) {
      running.provider.say(text);
      await rig.clock.settle();
    }
    const page = async (after: number, limit: number) =>
      (await rig.replies.readPage(running.record, after, limit)).map(({ seq }) => seq);
    expect([await page(0, 2), await page(2, 2), await page(3, 2)]).toStrictEqual([[1, 2], [3], []]);
    running.provider.finish();
    for (const ms of [0, FORGOTTEN_MS]) {
      await rig.clock.advance(ms);
      expect([await page(0, 2), await page(2, 9), await page(4, 9)]).toStrictEqual([[1, 2], [3, 4], []]);
    }
  });
});

describe('LiveReply', () => {
  it('takes nothing twice, nothing behind a hole, and nothing after its end', async () => {
    await using rig = await Rig.open();
    const { record } = await rig.begin();
    const live = new LiveReply(record, new VirtualClock());
    const [one, two] = [toDelta('a'), toDelta('b', 1)];
    live.publish([{ seq: 1, event: one }]);
    live.publish([
      { seq: 1, event: one },
      { seq: 3, event: two },
    ]);
    live.publish([{ seq: 2, event: two }]);
    expect([live.text('content'), live.seq, live.units]).toStrictEqual(['ab', 2, 2]);
  });
});

const toDelta = (text: string, at = 0) => ({ type: 'text-delta', channel: 'content', at, text }) as const;

/** What a client that has seen the log's first `seq` entries says of itself. */
const toPosition = (log: readonly LogEntry[], seq: number): Position => {
  const { content } = toTranscript(log.slice(0, seq));
  return { seq, at: content.length, digest: toDigest(content) };
};

/** Counts who listens. */
const countListeners = (live: LiveReply) => {
  const onChange = live.onChange.bind(live);
  let listening = 0;
  live.onChange = (listener) => {
    const inner = onChange(listener);
    listening += 1;
    return {
      [Symbol.dispose]: () => {
        listening -= 1;
        inner[Symbol.dispose]();
      },
    };
  };
  return { live, count: () => listening };
};
