import { describe, expect, it } from 'vitest';
import { BackendUnavailableError, QueueFullError } from '../../src/errors.ts';
import type { Place } from '../../src/limits/queued-place.ts';
import { follow, host, openQueue } from './queue-rig.ts';

const free = (place: Disposable): void => place[Symbol.dispose]();

describe('several hosts', () => {
  it('have their own slots each', async () => {
    const { clock, queue, enter } = openQueue({ hosts: { a: {}, b: {} } });
    const followed = ['ann', 'bob', 'cy'].map((caller) => follow(enter(caller)));
    await clock.settle();
    expect(followed.map((each) => each.host)).toEqual(['a', 'b', undefined]);
    expect([queue.load('a'), queue.load('b'), queue.load('unknown')]).toEqual([1, 1, 0]);
    expect(queue).toMatchObject({ serving: 2, waiting: 1 });
  });

  it('have a conversation come back to where it was, while that is free', async () => {
    const { clock, enter } = openQueue({ hosts: { a: {}, b: {} } });
    const [ann, bob] = [enter('ann'), enter('bob')];
    free(ann);
    free(bob);
    const again = follow(enter('bob'));
    const third = follow(enter('cy', 'm', 'bob'));
    await clock.settle();
    expect([again.host, third.host]).toEqual(['b', 'a']);
  });

  it('are told to nobody before the turn has come', () => {
    const { enter } = openQueue();
    enter('ann');
    const waiting = enter('bob');
    expect(() => waiting.host).toThrow('no host before its turn');
  });

  it('are each asked for their own budget, by whom they were given to', async () => {
    const asked: string[] = [];
    const admit = async (name: string): Promise<void> => void asked.push(name);
    const { enter } = openQueue({ hosts: { a: {}, b: {} }, admit });
    const place = enter('ann');
    await follow(place).turn;
    await place.next(new AbortController().signal);
    expect(asked).toEqual(['a', 'b']);
  });

  it('give an expected wait by the model’s own times, over the slots of those that have it', async () => {
    const { clock, enter } = openQueue({ hosts: { a: host('mx', 'm'), b: host('m', 'm') } });
    const [quick, slow] = [enter('ann'), enter('bob')];
    await Promise.all([follow(quick).turn, follow(slow).turn]);
    await clock.advance(4_000);
    [quick, slow].forEach(free);
    enter('ann');
    enter('bob');
    const [forM, forX] = [follow(enter('cy')), follow(enter('cy', 'x'))];
    await clock.settle();
    expect(forM.positions).toEqual([{ position: 1, expectedMs: 2_000 }]);
    expect(forX.positions).toEqual([{ position: 1 }]);
  });
});

describe('who waits for one model', () => {
  it('holds up nobody who waits for another', async () => {
    const { clock, enter } = openQueue({ hosts: { a: host('m', 'm') } });
    const running = enter('ann');
    const stuck = follow(enter('bob', 'x'));
    const [own, behind] = [enter('bob'), follow(enter('cy'))];
    free(running);
    await follow(own).turn;
    free(own);
    await clock.settle();
    expect([stuck.host, behind.host]).toEqual([undefined, 'a']);
  });

  it('is served in turn with those who wait for another, however many one of them has', async () => {
    const hosts = { a: host('mx', 'mx') };
    const { clock, enter } = openQueue({ hosts });
    let running = enter('zoe');
    const served: string[] = [];
    const onServed = (caller: string, place: Place): void => {
      served.push(caller);
      running = place;
    };
    const queued = [
      ...[1, 2, 3].map(() => ['ann', enter('ann')] as const),
      ['bob', enter('bob', 'x')] as const,
      ['bob', enter('bob', 'x')] as const,
    ];
    for (const [caller, place] of queued) {
      void follow(place).turn.then(() => onServed(caller, place));
    }
    for (const _each of queued) {
      free(running);
      await clock.settle();
    }
    expect(served).toEqual(['ann', 'bob', 'ann', 'bob', 'ann']);
  });

  it('is not put back by what the same caller is served by another', async () => {
    const { clock, enter } = openQueue({ hosts: { a: host('x', 'x'), b: host('m', 'm') } });
    const running = enter('zoe');
    const ann = follow(enter('ann'));
    const bob = follow(enter('bob'));
    let other = enter('ann', 'x');
    for (let replies = 0; replies < 3; replies++) {
      const next = enter('ann', 'x');
      free(other);
      other = next;
    }
    free(running);
    await clock.settle();
    expect([ann.host, bob.host]).toEqual(['b', undefined]);
  });

  it('is told where it stands among those for this model alone', async () => {
    const { clock, enter } = openQueue();
    enter('ann');
    enter('bob', 'x');
    enter('cy');
    const last = follow(enter('dan'));
    await clock.settle();
    expect(last.positions).toEqual([{ position: 2 }]);
  });
});

/** Sixteen requests at once, for two models by turns, of which the host holds one; gives the models as served. */
const serveMixed = async (loadMs: number, replyMs: number): Promise<readonly string[]> => {
  const { clock, board, enter } = openQueue({ hosts: { a: host('mx', 'm', { loadMs }) } });
  const served: string[] = [];
  const ask = async (caller: string, model: string): Promise<void> => {
    using place = enter(caller, model);
    await follow(place).turn;
    served.push(model);
    const isCold = !board.host('a').loaded.has(model);
    board.change('a', { loaded: new Set(model) });
    await clock.sleep(replyMs + (isCold ? loadMs : 0));
  };
  const measured = ask('zoe', 'm');
  await clock.advance(replyMs);
  await measured;
  served.length = 0;
  const asked = Array.from({ length: 16 }, (_, index) => ask(`caller ${index}`, index % 2 === 0 ? 'm' : 'x'));
  await clock.advance(60_000);
  await Promise.all(asked);
  return served;
};

describe('a load', () => {
  it('is not made where the model is loaded and soon free', async () => {
    const { clock, enter } = openQueue({ hosts: { a: host('m'), b: host('m', 'm') } });
    const running = enter('ann');
    const waiting = follow(enter('bob'));
    await clock.advance(19_999);
    expect(waiting.host).toBeUndefined(); // and `a` is idle
    free(running);
    await clock.settle();
    expect(waiting.host).toBe('b');
  });

  it('is made when the wait has been as long as a load', async () => {
    const { clock, enter } = openQueue({ hosts: { a: host('m', '', { loadMs: 7_000 }), b: host('m', 'm') } });
    enter('ann');
    const waiting = follow(enter('bob'));
    await clock.advance(7_000);
    expect(waiting.host).toBe('a');
  });

  it('is waited for only since it could have been made', async () => {
    const { clock, enter } = openQueue({ hosts: { a: host('mx', 'x'), b: host('m', 'm') } });
    const other = enter('zoe', 'x');
    enter('ann');
    const waiting = follow(enter('bob'));
    await clock.advance(60_000);
    free(other);
    await clock.advance(19_999);
    expect(waiting.host).toBeUndefined();
    await clock.advance(1);
    expect(waiting.host).toBe('a');
  });

  it('is made at once where nothing is loaded anywhere', async () => {
    const { clock, enter } = openQueue({ hosts: { a: host('m') } });
    const place = follow(enter('ann'));
    await clock.settle();
    expect(place.host).toBe('a');
  });

  it('that a reply has begun is shared, also before the board has heard of it', async () => {
    const { clock, enter } = openQueue({ hosts: { a: host('m'), b: host('m') } });
    const first = enter('ann');
    const second = follow(enter('bob'));
    await clock.settle();
    expect(second.host).toBeUndefined();
    free(first);
    await clock.settle();
    expect(second.host).toBe('a');
  });

  it.each([
    { what: 'twice as long as itself, where a reply takes longer', loadMs: 300, replyMs: 400, passed: 2 },
    { what: 'no longer than that, however long a reply takes', loadMs: 300, replyMs: 700, passed: 1 },
    { what: 'as long as itself, where a reply is shorter', loadMs: 2_000, replyMs: 500, passed: 4 },
  ])('lets those pass who wait for what the host has loaded, for $what', async ({ loadMs, replyMs, passed }) => {
    const served = await serveMixed(loadMs, replyMs);
    expect(served.indexOf('x')).toBe(1 + passed); // the first one has the slot before anybody waits
  });

  it('is not made for every other reply where it is short', async () => {
    const served = await serveMixed(300, 500);
    const loads = served.filter((model, index) => model !== (served[index - 1] ?? 'm'));
    expect(served).toHaveLength(16);
    expect(loads.length).toBeLessThanOrEqual(3);
  });

  it('lets those pass who wait for what the host has loaded, for as long as it takes itself', async () => {
    const { clock, enter } = openQueue({ hosts: { a: host('mx', 'm') } });
    const served: string[] = [];
    let running = enter('zoe');
    const onServed = (caller: string, place: Place): void => {
      served.push(caller);
      running = place;
    };
    const join = (caller: string, model: string): void => {
      const place = enter(caller, model);
      void follow(place).turn.then(() => onServed(caller, place));
    };
    join('needs a load', 'x');
    for (let index = 0; index < 5; index++) join(`warm ${index}`, 'm');
    for (let index = 0; index < 5; index++) {
      free(running);
      await clock.advance(8_000);
    }
    expect(served).toEqual(['warm 0', 'warm 1', 'warm 2', 'needs a load', 'warm 3']);
  });

  it('is made where it pushes out nothing that others wait for', async () => {
    const { clock, board, enter } = openQueue({ hosts: { a: host('xy', 'x'), b: host('xy') } });
    board.change('b', { state: 'away' });
    const running = enter('ann', 'x');
    enter('bob', 'x');
    const other = follow(enter('cy', 'y'));
    board.change('b', { state: 'up' });
    await clock.settle();
    expect(other.host).toBe('b');
    free(running);
  });

  it('is made for one of those who wait for it, and the others then wait anew', async () => {
    const { clock, enter } = openQueue({ hosts: { a: host('m'), b: host('m', 'm'), c: host('m') } });
    enter('ann');
    const waiting = ['bob', 'cy'].map((caller) => follow(enter(caller)));
    await clock.advance(39_999);
    expect(waiting.map((each) => each.host)).toEqual(['a', undefined]);
    await clock.advance(1);
    expect(waiting.map((each) => each.host)).toEqual(['a', 'c']);
  });

  it('that pushes out what others want is a chance for the first who waits for it, not for all', async () => {
    const { clock, enter } = openQueue({ hosts: { a: host('mx', 'x'), b: host('m', 'm') } });
    let other = enter('zoe', 'x');
    const ann = enter('ann');
    const [first, second] = [follow(enter('bob')), follow(enter('cy'))];
    const others = ['dan', 'eve', 'fay', 'gus'].map((caller) => enter(caller, 'x'));
    const serveNextOther = async (): Promise<void> => {
      free(other);
      other = others.shift() ?? other;
      await clock.advance(10_000);
    };
    await serveNextOther(); // bob could have been served, and lets dan pass
    free(ann);
    await serveNextOther(); // bob has his turn; cy could have been served, and lets eve pass
    await serveNextOther();
    expect([first.host, second.host]).toEqual(['b', undefined]);
    free(other); // twenty seconds after that
    await clock.settle();
    expect(second.host).toBe('a');
  });
});

describe('a host that fails', () => {
  const signal = new AbortController().signal;

  it('gives its slot back, and the request goes to another one before all who wait', async () => {
    const { clock, queue, enter } = openQueue({ hosts: { a: {}, b: {} } });
    const [ann, bob] = [enter('ann'), enter('bob')];
    const waiting = [follow(enter('cy')), follow(enter('dan'))];
    await follow(ann).turn;
    const moved = ann.next(signal);
    await clock.settle();
    expect(waiting.map((each) => each.host)).toEqual(['a', undefined]); // the failed host serves others
    free(bob);
    await moved;
    expect(ann.host).toBe('b');
    expect(waiting[1]?.host).toBeUndefined();
    free(ann);
    free(ann);
    await clock.settle();
    expect(waiting[1]?.host).toBe('b');
    expect(queue.serving).toBe(2);
  });

  it('is asked again by the same request only when all were', async () => {
    const { enter } = openQueue({ hosts: { a: {}, b: {}, c: {} } });
    const place = enter('ann');
    await follow(place).turn;
    const asked = [place.host];
    for (let failures = 0; failures < 4; failures++) {
      await place.next(signal);
      asked.push(place.host);
    }
    expect(asked).toEqual(['a', 'b', 'c', 'a', 'b']);
  });

  it('is asked again at once where it is the only one', async () => {
    const { enter } = openQueue({ hosts: { a: {}, b: { state: 'away' }, c: { models: new Set() } } });
    const place = enter('ann');
    await follow(place).turn;
    await place.next(signal);
    expect(place.host).toBe('a');
  });

  it('tells nothing of how long a reply takes', async () => {
    const { clock, enter } = openQueue();
    const place = enter('ann');
    await follow(place).turn;
    await clock.advance(30_000);
    await place.next(signal);
    const waiting = follow(enter('bob'));
    await clock.advance(3_000);
    expect(waiting.positions).toEqual([{ position: 1 }]);
    free(place);
    const later = follow(enter('cy'));
    await clock.settle();
    expect(later.positions).toEqual([{ position: 1, expectedMs: 3_000 }]);
  });

  it('is not waited out by who gives up, and what it held is free', async () => {
    const { clock, board, queue, enter } = openQueue();
    const place = enter('ann');
    await follow(place).turn;
    board.change('a', { state: 'away' });
    const leaving = new AbortController();
    const moved = place.next(leaving.signal);
    moved.catch(() => undefined);
    await clock.settle();
    expect(queue).toMatchObject({ serving: 0, waiting: 1 });
    leaving.abort(new Error('cancelled'));
    await expect(moved).rejects.toThrow('cancelled');
    free(place);
    expect(queue).toMatchObject({ serving: 0, waiting: 0 });
  });

  it('is an error to ask for a next one without a host', async () => {
    const { enter } = openQueue();
    enter('ann');
    const waiting = enter('bob');
    await expect(waiting.next(signal)).rejects.toThrow('only a place that has a host');
  });
});

describe('while no host can be asked', () => {
  it('a request waits for one to come back', async () => {
    const { clock, board, enter } = openQueue({ hosts: { a: { state: 'away' } } });
    const waiting = follow(enter('ann'));
    await clock.advance(29_999);
    board.change('a', { state: 'trial' });
    await clock.settle();
    expect(waiting.positions).toEqual([{ position: 1 }]);
    expect(waiting.host).toBe('a');
  });

  it('a request is given up after a while, and says why', async () => {
    const { clock, queue, enter } = openQueue({ hosts: { a: { state: 'away' } } });
    const { turn } = follow(enter('ann'));
    await clock.advance(30_000);
    await expect(turn).rejects.toThrow(BackendUnavailableError);
    await expect(turn).rejects.toThrow('No Ollama host that has the model "m" could be asked for 30 s. Check');
    expect(queue.waiting).toBe(0);
  });

  it('a request for a model that no host has waits for it, and not for ever', async () => {
    const { clock, board, enter } = openQueue();
    const pulled = follow(enter('ann', 'x'));
    const never = follow(enter('bob', 'y'));
    await clock.advance(20_000);
    board.change('a', { models: new Set('mx') });
    await clock.advance(10_000);
    expect(pulled.host).toBe('a');
    await expect(never.turn).rejects.toThrow('No Ollama host that can be asked had the model "y" for 30 s');
  });

  it('the time begins anew when one was there meanwhile', async () => {
    const { clock, board, enter } = openQueue();
    const running = enter('zoe');
    const waiting = follow(enter('ann'));
    for (const state of ['away', 'up', 'away'] as const) {
      board.change('a', { state });
      await clock.advance(20_000);
    }
    expect(waiting.host).toBeUndefined();
    free(running);
    board.change('a', { state: 'up' });
    await clock.settle();
    expect(waiting.host).toBe('a');
  });

  it('those that have gone are sought every 2 s for each model, until one is there', async () => {
    const { clock, board, enter } = openQueue({ hosts: { a: { state: 'away', models: new Set('mx') } } });
    const waiting = follow(enter('ann'));
    enter('bob');
    enter('ann', 'x');
    expect(board.sought).toEqual(['m']);
    await clock.advance(1_999);
    expect(board.sought).toEqual(['m']);
    await clock.advance(1);
    expect(board.sought).toEqual(['m', 'm', 'x']);
    await clock.advance(4_000);
    expect(board.sought).toEqual(['m', 'm', 'x', 'm', 'x', 'm', 'x']);
    board.change('a', { state: 'up' });
    await waiting.turn;
    await clock.advance(10_000);
    expect(board.sought).toHaveLength(7);
  });

  it('those that have gone are not sought for who waits for a slot or for a download', async () => {
    const { clock, board, enter } = openQueue();
    enter('ann');
    enter('bob');
    enter('cy', 'new').hold();
    const { length: before } = board.sought; // as long as nobody knew that it would be held
    await clock.advance(10_000);
    expect(board.sought).toHaveLength(before);
  });

  it('the queue has its bound', () => {
    const { enter } = openQueue({ hosts: { a: { state: 'away' } }, limit: 2 });
    enter('ann');
    enter('bob');
    expect(() => enter('cy')).toThrow(QueueFullError);
  });

  it('one that was given up but is not given back yet holds nothing', async () => {
    const { clock, board, queue, enter } = openQueue({ hosts: { a: { state: 'away' } } });
    const place = enter('ann');
    await clock.advance(30_000);
    board.change('a', { state: 'up' });
    await expect(follow(place).turn).rejects.toThrow(BackendUnavailableError);
    free(place);
    expect(queue).toMatchObject({ serving: 0, waiting: 0 });
  });
});

describe('a queue that is disposed', () => {
  it('listens to no host and has no timer left', async () => {
    const { clock, board, queue, enter } = openQueue({ hosts: { a: { state: 'away' } } });
    enter('ann');
    queue[Symbol.dispose]();
    expect(board.listeners).toBe(0);
    await clock.advance(60_000);
    expect(queue.waiting).toBe(1); // nobody looked
  });

  it('serves nobody any more, and sets no timer, when a place is given back late', async () => {
    const { clock, board, queue, enter } = openQueue();
    const served = enter('ann');
    const waiting = enter('bob');
    const leaving = enter('cy', 'new');
    queue[Symbol.dispose]();
    const { length: sought } = board.sought;
    leaving[Symbol.dispose]();
    free(served);
    await clock.advance(60_000);
    expect(queue).toMatchObject({ waiting: 1, serving: 0 });
    expect(board.sought).toHaveLength(sought);
    expect(clock.timers).toBe(0);
    free(waiting);
  });
});
