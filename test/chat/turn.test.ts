import { describe, expect, it } from 'vitest';
import { Claim, inTurn, type RoutedSource } from '../../src/chat/turn.ts';
import { FairQueue, type FairQueueOptions } from '../../src/limits/fair-queue.ts';
import { Quota } from '../../src/limits/quota.ts';
import type { ReplySource, SourcePart } from '../../src/replies/reply-writer.ts';
import { MemoryCallerLimits } from '../../src/stores/memory-caller-limits.ts';
import { ScriptedBoard } from '../support/scripted-board.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

const FINISH: SourcePart = { type: 'finish', finishReason: 'stop' };

/** One slot, and callers of whom each may have one reply. */
const open = (options: Partial<FairQueueOptions> = {}) => {
  const clock = new VirtualClock();
  const board = new ScriptedBoard({ a: {}, b: { state: 'away' } });
  const queue = new FairQueue({
    clock,
    board,
    slots: 1,
    limit: 8,
    timeoutMs: 60_000,
    awayTimeoutMs: 30_000,
    ...options,
  });
  const limits = new MemoryCallerLimits(clock);
  const quota = new Quota(limits, { requestsPerMinute: 100, maxConcurrent: 1 }, clock);
  const claim = async (caller: string, charge = caller): Promise<Claim> => {
    const claimed = new Claim({ queue, quota, caller, charge });
    await claimed.charge(false);
    claimed.enter('m', 'c1');
    return claimed;
  };
  return { clock, board, queue, limits, claim, [Symbol.dispose]: () => quota[Symbol.dispose]() };
};

/** What a source says until it ends or is left. */
const collect = async (source: ReplySource, signal = new AbortController().signal): Promise<readonly SourcePart[]> => {
  const parts: SourcePart[] = [];
  for await (const read of source(signal)) parts.push(...read);
  return parts;
};

describe('a reply in its turn', () => {
  it('runs no more when its end is known, and has its slot until the host has let go', async () => {
    using rig = open();
    const letGo = Promise.withResolvers<void>();
    const source: ReplySource = async function* () {
      try {
        yield [FINISH];
      } finally {
        await letGo.promise;
      }
    };
    const turn = (await rig.claim('ann', 'r1')).take();
    const reader = inTurn(source, turn)(new AbortController().signal)[Symbol.asyncIterator]();
    expect((await reader.next()).value).toEqual([{ type: 'turn' }]);
    expect((await reader.next()).value).toEqual([FINISH]);
    await using next = await rig.claim('ann', 'r2'); // not refused
    const left = reader.return?.();
    await rig.clock.settle();
    expect(rig.queue).toMatchObject({ serving: 1, waiting: 1 });
    letGo.resolve();
    await left;
    expect(rig.queue).toMatchObject({ serving: 1, waiting: 0 }); // the next one
    await next[Symbol.asyncDispose]();
    expect(rig.queue.serving).toBe(0);
  });

  it('runs no more when it is cancelled, and has its slot until the host has let go', async () => {
    using rig = open();
    const letGo = Promise.withResolvers<void>();
    const source: ReplySource = async function* (signal) {
      await letGo.promise;
      signal.throwIfAborted();
      yield [];
    };
    const cancel = new AbortController();
    const running = collect(inTurn(source, (await rig.claim('ann', 'r1')).take()), cancel.signal);
    await rig.clock.settle();
    cancel.abort(new Error('cancelled'));
    await using _next = await rig.claim('ann', 'r2'); // at once
    await rig.clock.settle();
    expect(rig.queue).toMatchObject({ serving: 1, waiting: 1 });
    letGo.resolve();
    await expect(running).rejects.toThrow('cancelled');
    expect(rig.queue).toMatchObject({ serving: 1, waiting: 0 });
  });

  it('ends with its own failure, also where the limits do not answer', async () => {
    using rig = open();
    rig.limits.release = async () => Promise.reject(new Error('the store is away'));
    const source: ReplySource = async function* () {
      yield [];
      throw new Error('the host is away');
    };
    const turn = (await rig.claim('ann')).take();
    await expect(collect(inTurn(source, turn))).rejects.toThrow('the host is away');
    expect(rig.queue.serving).toBe(0);
  });

  it('tells its place first, and waits for what its host takes in a minute as for its turn', async () => {
    const minute = Promise.withResolvers<void>();
    using rig = open({ admit: () => minute.promise });
    const source: ReplySource = async function* () {
      yield [FINISH];
    };
    const running = collect(inTurn(source, (await rig.claim('ann')).take()));
    await rig.clock.advance(30_000);
    minute.resolve();
    expect(await running).toEqual([{ type: 'queued', position: 1 }, { type: 'turn' }, FINISH]);
  });

  it('is asked at the host of its turn, and at the next one when that has failed; the slots are free at its end', async () => {
    using rig = open();
    const asked: string[] = [];
    const source: RoutedSource = async function* (signal, route) {
      asked.push(route?.host ?? 'anywhere');
      rig.board.change('b', { state: 'up' });
      await route?.next(signal);
      asked.push(route?.host ?? 'anywhere');
      expect([rig.queue.load('a'), rig.queue.load('b')]).toEqual([0, 1]);
      yield [FINISH];
    };
    await collect(inTurn(source, (await rig.claim('ann')).take()));
    expect(asked).toEqual(['a', 'b']);
    expect(rig.queue).toMatchObject({ serving: 0, waiting: 0 });
  });

  it('is asked anywhere when it needs no turn', async () => {
    using rig = open();
    const asked: (string | undefined)[] = [];
    const source: RoutedSource = async function* (_signal, route) {
      asked.push(route?.host);
      yield [FINISH];
    };
    const claimed = await rig.claim('ann');
    claimed.leave();
    await collect(inTurn(source, claimed.take()));
    expect(asked).toEqual([undefined]);
  });
});

describe('a claim', () => {
  it('that no reply has is given back, whatever it holds', async () => {
    using rig = open();
    {
      await using _claimed = await rig.claim('ann', 'r1');
      await expect(rig.claim('ann', 'r2')).rejects.toMatchObject({ code: 'rate_limited' });
    }
    expect(rig.queue.serving).toBe(0);
    await using _next = await rig.claim('ann', 'r2');
  });

  it('takes everything once, however often it is asked for', async () => {
    using rig = open();
    await using claimed = await rig.claim('ann', 'r1');
    await claimed.charge(false);
    claimed.enter('m', 'c1');
    expect(rig.queue).toMatchObject({ serving: 1, waiting: 0 });
  });
});
