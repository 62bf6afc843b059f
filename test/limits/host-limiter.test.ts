import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { HostLimiter } from '../../src/limits/host-limiter.ts';

const never = new AbortController().signal;

/** Notes whether a promise has been kept, or broken, by now. */
const follow = (promise: Promise<void>) => {
  const followed: { state: string; error?: unknown } = { state: 'waiting' };
  promise.then(
    () => (followed.state = 'taken'),
    (error: unknown) => Object.assign(followed, { state: 'rejected', error }),
  );
  return followed;
};

describe('HostLimiter', () => {
  it('runs one chore at a time, in the order in which they came, also behind one that fails', async () => {
    using host = new HostLimiter();
    const events: string[] = [];
    const gates = [0, 1, 2].map(() => Promise.withResolvers<string>());
    const chores = gates.map(({ promise }, index) =>
      host.runChore(async () => {
        events.push(`begin ${index}`);
        return promise.finally(() => events.push(`end ${index}`));
      }),
    );
    gates[0]?.promise.catch(() => undefined); // met where it is awaited
    gates[2]?.resolve('third');
    gates[0]?.reject(new Error('no room'));
    await expect(chores[0]).rejects.toThrow('no room');
    gates[1]?.resolve('second');
    expect(await Promise.all(chores.slice(1))).toEqual(['second', 'third']);
    expect(events).toEqual(['begin 0', 'end 0', 'begin 1', 'end 1', 'begin 2', 'end 2']);
  });

  it('lets any number of replies begin where no rate is set', async () => {
    using host = new HostLimiter();
    const taken = await Promise.all(Array.from({ length: 100 }, () => host.takeReply(never)));
    expect(taken).toHaveLength(100);
  });
});

describe('HostLimiter, with a rate', () => {
  beforeEach(() => void vi.useFakeTimers()); // Bottleneck has clocks of its own
  afterEach(() => void vi.useRealTimers());

  it('lets so many replies begin in a minute, and the others in the next', async () => {
    using host = new HostLimiter({ repliesPerMinute: 2 });
    const taken = [1, 2, 3, 4, 5].map(() => follow(host.takeReply(never)));
    const states = (): readonly string[] => taken.map(({ state }) => state);
    await vi.advanceTimersByTimeAsync(50_000);
    expect(states()).toEqual(['taken', 'taken', 'waiting', 'waiting', 'waiting']);
    await vi.advanceTimersByTimeAsync(20_000);
    expect(states()).toEqual(['taken', 'taken', 'taken', 'taken', 'waiting']);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(states()).toEqual(['taken', 'taken', 'taken', 'taken', 'taken']);
  });

  it('is left at once by who gives up, with the reason, and keeps nothing of the minute for it', async () => {
    using host = new HostLimiter({ repliesPerMinute: 1 });
    await Promise.all([host.takeReply(never), vi.advanceTimersByTimeAsync(10)]);
    const leaving = new AbortController();
    const left = Array.from({ length: 20 }, () => follow(host.takeReply(leaving.signal)));
    const behind = follow(host.takeReply(never));
    await vi.advanceTimersByTimeAsync(10);
    const reason = new Error('changed my mind');
    leaving.abort(reason);
    await vi.advanceTimersByTimeAsync(0);
    expect(left).toEqual(left.map(() => ({ state: 'rejected', error: reason })));
    expect(behind.state).toBe('waiting');
    await vi.advanceTimersByTimeAsync(66_000);
    expect(behind.state).toBe('taken');
  });

  it('is not even asked by who has given up before', async () => {
    using host = new HostLimiter({ repliesPerMinute: 1 });
    const reason = new Error('gone');
    await expect(host.takeReply(AbortSignal.abort(reason))).rejects.toBe(reason);
    const next = follow(host.takeReply(never));
    await vi.advanceTimersByTimeAsync(10);
    expect(next.state).toBe('taken');
  });
});
