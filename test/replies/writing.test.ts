import { describe, expect, it } from 'vitest';
import { LogAppender, type AppendSource } from '../../src/replies/log-appender.ts';
import { finish, say, think } from '../support/scripted-provider.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import { gate } from './faulty-store.ts';
import { Rig } from './rig.ts';

describe('what a model says', () => {
  it('is stored, shown, and kept as the message', async () => {
    await using rig = await Rig.open();
    const running = await rig.start();
    const watcher = rig.watch(running.record);
    running.provider.send(think('Hm.')).send(say('The '), say('kettle '));
    await rig.clock.settle();
    running.provider.send(say('boils.'), finish({ promptTokens: 20, completionTokens: 3 }));
    await rig.clock.settle();

    const { log, content, thinking, end } = await rig.stored(running);
    expect([thinking, content]).toStrictEqual(['Hm.', 'The kettle boils.']);
    expect(end).toMatchObject({
      state: 'done',
      finishReason: 'stop',
      usage: { promptTokens: 20, completionTokens: 3, source: 'measured' },
    });
    expect(watcher.entries).toStrictEqual(log);
    expect(watcher.states).toStrictEqual(['generating']);
    expect(watcher.isOver).toBe(true);
    expect(rig.ended).toMatchObject([{ state: 'done' }]);
    expect(rig.measured).toStrictEqual([20]);
  });

  it('is not shown before the store has acknowledged it', async () => {
    await using rig = await Rig.open();
    const held = gate('after');
    rig.store.next('append', held.fault);
    const { record, provider } = await rig.start();
    const watcher = rig.watch(record);
    provider.say('Wait.');
    await rig.clock.settle();
    expect(await rig.store.loadReply(record.messageId)).toMatchObject({ seq: 1 });
    expect(watcher.entries).toStrictEqual([]);
    expect(await rig.replies.view(record)).toMatchObject({ content: '', seq: 0 });
    expect(await rig.replies.readPage(record, 0, 10)).toStrictEqual([]);

    held.open();
    await rig.clock.settle();
    expect(watcher.text).toBe('Wait.');
  });

  it('does not end on a screen before its end is stored', async () => {
    await using rig = await Rig.open();
    const held = gate('after');
    rig.store.next('finish', held.fault);
    const { record, provider } = await rig.start();
    const watcher = rig.watch(record);
    provider.send(say('Done.'), finish());
    await rig.clock.settle();
    expect(watcher.entries).toStrictEqual([]);
    held.open();
    await rig.clock.settle();
    expect(watcher.end).toMatchObject({ text: 'Done.' });
  });

  it('makes one delta of many parts of one read', async () => {
    await using rig = await Rig.open();
    const { record, provider } = await rig.start();
    provider.say('a', 'b', 'c', 'd');
    await rig.clock.settle();
    expect(await rig.replies.readPage(record, 0, 10)).toMatchObject([{ seq: 1, event: { text: 'abcd' } }]);
  });

  it('gathers in one delta while an append is in flight', async () => {
    await using rig = await Rig.open();
    const held = gate('before');
    rig.store.next('append', held.fault);
    const running = await rig.start();
    running.provider.say('a').say('b').say('c');
    await rig.clock.settle();
    held.open();
    await rig.clock.settle();
    running.provider.finish();
    await rig.clock.settle();
    const { log } = await rig.stored(running);
    expect(log.map(({ event }) => event)).toMatchObject([{ text: 'a' }, { text: 'bc' }, { type: 'end' }]);
  });

  it('is the same text in log, memory and message when a pair is broken', async () => {
    await using rig = await Rig.open();
    const running = await rig.start();
    const watcher = rig.watch(running.record);
    running.provider.say('a\uD83D');
    await rig.clock.settle();
    expect(watcher.text).toBe('a');
    running.provider.say('\uDE00 \uDE00b\uD83D');
    await rig.clock.settle();
    running.provider.finish();
    await rig.clock.settle();
    const { content } = await rig.stored(running);
    expect(content).toBe('a😀 \uFFFDb\uFFFD');
    expect(watcher.text).toBe(content);
  });

  it('begins with what was left out of the prompt', async () => {
    await using rig = await Rig.open();
    const { record, token } = await rig.begin();
    const context = {
      type: 'context',
      droppedTurns: 3,
      keptTurns: 2,
      estimatedTokens: 90,
      contextWindow: 128,
    } as const;
    rig.replies.start(record, {
      token,
      arrivedAt: rig.clock.elapsed(),
      promptTokens: 0,
      async *source() {
        yield [context];
        yield [say('Yes.'), finish()];
      },
    });
    await rig.clock.settle();
    const { log } = await rig.stored({ record });
    expect(log[0]).toStrictEqual({ seq: 1, event: context });
  });

  it('is timed from the arrival of the request, and counted by deltas where the backend does not count', async () => {
    await using rig = await Rig.open();
    const running = await rig.start();
    await rig.clock.advance(300);
    running.provider.send({ type: 'status', status: { state: 'generating', loadMs: 200 } }, say('a'), say(''), {
      type: 'text-delta',
      channel: 'content',
      text: 'bcd',
      deltas: 3,
    });
    await rig.clock.advance(700);
    running.provider.finish();
    await rig.clock.settle();
    const { end } = await rig.stored(running);
    expect(end.timings).toStrictEqual({ queuedMs: 0, loadMs: 200, firstTokenMs: 300, totalMs: 1_000 });
    expect(end.usage).toStrictEqual({ promptTokens: 7, completionTokens: 4, source: 'estimated' });
  });
});

describe('the append calls of an instance', () => {
  it('are one at a time for all replies, and carry what came meanwhile', async () => {
    await using rig = await Rig.open();
    const all = await Promise.all(Array.from({ length: 8 }, () => rig.start()));
    const held = gate('before');
    rig.store.next('append', held.fault);
    for (const { provider } of all) provider.say('a');
    await rig.clock.settle();
    for (const { provider } of all) provider.say('b');
    await rig.clock.settle();
    const before = rig.store.appends.length;
    expect(before).toBeLessThanOrEqual(2);
    held.open();
    await rig.clock.settle();
    for (const { provider } of all) provider.finish();
    await rig.clock.settle();

    expect(rig.store.mostAppending).toBe(1);
    expect(rig.store.appends.at(-1)).toHaveLength(8);
    for (const running of all) expect((await rig.stored(running)).content).toBe('ab');
  });

  it.each([
    [32, 0],
    [33, 5],
  ])('of %d replies let the next wait for %d ms', async (count, pauseMs) => {
    const clock = new VirtualClock();
    const calls: { readonly at: number; readonly size: number }[] = [];
    await using rig = new Rig();
    rig.store.append = async (appends) => {
      calls.push({ at: clock.now(), size: appends.length });
      return appends.map(() => ({ type: 'ok' }) as const);
    };
    const appender = new LogAppender(rig.store, clock);
    appender.request(toSource(appender, 1)); // its call is in flight while the others gather
    for (let source = 0; source < count; source++) appender.request(toSource(appender, 2));
    await clock.advance(pauseMs);
    const [first, second, third] = calls;
    expect([first?.size, second?.size, third?.size]).toStrictEqual([1, count, count]);
    expect((third?.at ?? 0) - (second?.at ?? 0)).toBe(pauseMs);
  });
});

/** Something to append, so many times. */
const toSource = (appender: LogAppender, times: number): AppendSource => {
  const source: AppendSource = {
    takeAppend: () => (times-- > 0 ? { messageId: 'reply', token: 'token', seq: 1, events: [] } : undefined),
    onAnswer: () => appender.request(source),
    onFailure: () => false,
  };
  return source;
};
