import { describe, expect, it } from 'vitest';
import { follow, host, openQueue } from './queue-rig.ts';

/** Places of those whose model is not there yet. */

const never = (): AbortSignal => new AbortController().signal;

describe('a place that is held', () => {
  it('takes no slot and is not given up, however long the model takes', async () => {
    const { clock, board, queue, enter } = openQueue({ hosts: { a: host('m') } });
    using place = enter('ann', 'new');
    place.hold();
    await clock.advance(3_600_000);
    board.change('a', { models: new Set(['m', 'new']) });
    expect(queue).toMatchObject({ waiting: 1, serving: 0 });
    const { turn } = follow(place, never());
    expect(await turn).toBe('a');
    expect(queue).toMatchObject({ waiting: 0, serving: 1 });
  });

  it('holds up nobody else', async () => {
    const { board, queue, enter } = openQueue({ hosts: { a: host('m') } });
    using held = enter('ann', 'new');
    held.hold();
    board.change('a', { models: new Set(['m', 'new']) });
    using other = enter('ann', 'm');
    using third = enter('bob', 'm');
    expect(await follow(other).turn).toBe('a');
    expect(queue).toMatchObject({ waiting: 2, serving: 1 });
    other[Symbol.dispose]();
    expect(await follow(third).turn).toBe('a');
  });

  it('does not count as one of those who wait for a slot', () => {
    const { queue, enter } = openQueue({ hosts: { a: host('m', 'm') }, limit: 1 });
    using held = enter('ann', 'new');
    held.hold();
    using served = enter('ann');
    using waiting = enter('bob');
    expect(served.host).toBe('a');
    expect(() => enter('cy')).toThrow('LLM_QUEUE_LIMIT');
    expect(queue.waiting).toBe(2);
    waiting[Symbol.dispose]();
  });

  it('is refused when as many are held as may wait for a slot', () => {
    const { queue, enter } = openQueue({ hosts: { a: host('m') }, limit: 1 });
    using held = enter('ann', 'new');
    held.hold();
    held.hold(); // once more is the same
    using second = enter('bob', 'new');
    expect(() => second.hold()).toThrow('LLM_QUEUE_LIMIT');
    second[Symbol.dispose]();
    held[Symbol.dispose]();
    expect(queue.waiting).toBe(0);
    using third = enter('cy', 'new');
    third.hold();
    expect(queue.waiting).toBe(1);
  });

  it('gives its slot back where it had one', async () => {
    const { queue, enter } = openQueue();
    using place = enter('ann');
    expect(queue.serving).toBe(1);
    place.hold();
    expect(queue).toMatchObject({ waiting: 1, serving: 0 });
    using other = enter('bob');
    expect(await follow(other).turn).toBe('a');
  });

  it('is waited for no longer than any other once the model is there', async () => {
    const { clock, queue, enter } = openQueue({ timeoutMs: 60_000 });
    using first = enter('bob');
    await follow(first).turn;
    using place = enter('ann');
    place.hold();
    await clock.advance(600_000);
    const { turn } = follow(place);
    await clock.advance(59_000);
    expect(queue.waiting).toBe(1);
    const late = turn.catch((error: unknown) => error);
    await clock.advance(1_000);
    expect(await late).toMatchObject({ message: expect.stringContaining('LLM_QUEUE_TIMEOUT') });
  });

  it('leaves the queue when it is disposed', () => {
    const { queue, enter } = openQueue();
    const place = enter('ann');
    place.hold();
    place[Symbol.dispose]();
    expect(queue).toMatchObject({ waiting: 0, serving: 0 });
  });
});
