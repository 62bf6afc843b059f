import { describe, expect, it } from 'vitest';
import { QueueFullError } from '../../src/errors.ts';
import { follow, host, openQueue } from './queue-rig.ts';

const asker = { model: 'm', conversation: 'c' };

describe('a place for what nobody waits for', () => {
  it('has a slot while one is free, and asks for it back when somebody waits', async () => {
    const { clock, queue, enter } = openQueue({ slots: 2 });
    const wishes: string[] = [];
    const place = queue.enterLast(asker, () => wishes.push('wanted'));
    await follow(place).turn;
    const ann = enter('ann');
    await follow(ann).turn;
    expect(wishes).toEqual([]);
    const bob = follow(enter('bob'));
    expect(wishes).toEqual(['wanted']);
    place[Symbol.dispose]();
    await bob.turn;
    await clock.settle();
    expect(queue).toMatchObject({ serving: 2, waiting: 0 });
  });

  it('stands behind everybody, also behind who comes later, and is told no position', async () => {
    const { clock, queue, enter } = openQueue();
    const running = enter('ann');
    const served: string[] = [];
    const last = queue.enterLast(asker, () => undefined);
    const followed = follow(last);
    void followed.turn.then(() => served.push('last'));
    const bob = enter('bob');
    void follow(bob).turn.then(() => served.push('bob'));
    expect(queue.waiting).toBe(1);
    running[Symbol.dispose]();
    await clock.settle();
    bob[Symbol.dispose]();
    await clock.settle();
    expect(served).toEqual(['bob', 'last']);
    expect(followed.positions).toEqual([]);
  });

  it('costs nobody a place: who finds only lent slots waits, though nobody may wait', async () => {
    const { queue, enter } = openQueue({ limit: 0 });
    const place = queue.enterLast(asker, () => undefined);
    const ann = follow(enter('ann'));
    expect(() => enter('bob')).toThrow(QueueFullError);
    place[Symbol.dispose]();
    await ann.turn;
    expect(queue).toMatchObject({ serving: 1, waiting: 0 });
    expect(() => enter('bob')).toThrow(QueueFullError);
  });

  it('does not wait for longer than others, and leaves without a trace', async () => {
    const { clock, queue, enter } = openQueue({ timeoutMs: 5_000 });
    const running = enter('ann');
    const place = queue.enterLast(asker, () => undefined);
    const { turn } = follow(place);
    await clock.advance(5_000);
    await expect(turn).rejects.toThrow(QueueFullError);
    place[Symbol.dispose]();
    running[Symbol.dispose]();
    expect(queue).toMatchObject({ serving: 0, waiting: 0 });
  });

  it('says nothing of how long others will take', async () => {
    const { clock, queue, enter } = openQueue();
    const place = queue.enterLast(asker, () => undefined);
    await follow(place).turn;
    await clock.advance(60_000);
    place[Symbol.dispose]();
    enter('ann');
    const waiting = follow(enter('bob'));
    await clock.settle();
    expect(waiting.positions).toEqual([{ position: 1 }]);
  });

  it('goes only where its model is loaded: a load is not made for it', async () => {
    const { board, queue } = openQueue({ hosts: { a: host('mn', 'n'), b: host('mn', 'n') } });
    const place = follow(queue.enterLast(asker, () => undefined));
    expect(queue.serving).toBe(0);
    board.change('b', { loaded: new Set('m') });
    expect(await place.turn).toBe('b');
  });
});
