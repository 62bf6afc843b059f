import { describe, expect, it } from 'vitest';
import { unavailable } from './faulty-store.ts';
import { Rig, SECOND } from './rig.ts';

describe('leases', () => {
  it('of all replies are renewed twice a second, in one call', async () => {
    await using rig = await Rig.open();
    const all = await Promise.all([rig.start(), rig.start()]);
    await rig.clock.advance(10 * SECOND);
    expect(rig.store.renewals).toHaveLength(20);
    expect(rig.store.renewals[19]).toMatchObject(all.map(({ record: { messageId } }) => ({ messageId })));
    expect(await rig.store.findAbandoned(10)).toStrictEqual([]);
  });

  it('that ran out while the process slept are renewed, and nothing of its own is sealed', async () => {
    await using rig = await Rig.open();
    const running = await rig.start();
    running.provider.say('The kettle');
    await rig.clock.settle();
    await rig.clock.jump(60 * SECOND);
    expect(rig.sealed).toStrictEqual([]);
    running.provider.say(' boils.').finish();
    await rig.clock.settle();
    expect(await rig.stored(running)).toMatchObject({ content: 'The kettle boils.', end: { state: 'done' } });
  });

  it('that ran out while the store was away are not taken for abandoned', async () => {
    await using rig = await Rig.open();
    const running = await rig.start();
    rig.store.always(unavailable, 'renew', 'append');
    await rig.clock.advance(20 * SECOND);
    rig.store.mend();
    await rig.clock.advance(2 * SECOND);
    running.provider.say('Here.').finish();
    await rig.clock.settle();
    expect((await rig.stored(running)).end.state).toBe('done');
    expect(rig.sealed).toStrictEqual([]);
  });

  it('that run out between the renewal and the look for abandoned replies cost nothing', async () => {
    await using rig = await Rig.open();
    const running = await rig.start();
    rig.store.next('renew', async (work) => {
      const answers = await work();
      void rig.clock.jump(60 * SECOND); // the machine sleeps before the answer is read
      return answers;
    });
    await rig.clock.advance(SECOND);
    await rig.clock.settle();
    expect(rig.sealed).toStrictEqual([]);
    expect(await rig.store.loadReply(running.record.messageId)).toMatchObject({ state: 'running' });
  });
});

describe('an abandoned reply', () => {
  it('of a former process is sealed at the start, with its text', async () => {
    await using rig = new Rig();
    const many = [];
    for (let reply = 0; reply < 120; reply++) many.push(await rig.begin('before'));
    for (const { record, token } of many) {
      const events = [{ type: 'text-delta', channel: 'content', at: 0, text: 'The kettle' }] as const;
      await rig.store.append([{ messageId: record.messageId, token, seq: 1, events }]);
    }
    await rig.replies.initialize();
    expect(rig.sealed).toStrictEqual([120]);
    for (const reply of many) {
      expect((await rig.stored(reply)).end).toMatchObject({
        state: 'failed',
        failure: { code: 'interrupted' },
        text: 'The kettle',
      });
    }
  });

  it('is sealed later, too, and its watchers hear of it', async () => {
    await using rig = await Rig.open();
    const { record } = await rig.begin(); // begun, and its writer never came
    const watcher = rig.watch(record);
    await rig.clock.advance(3 * SECOND);
    expect(rig.sealed).toStrictEqual([]);
    await rig.clock.advance(3 * SECOND);
    expect(rig.sealed).toStrictEqual([1]);
    expect(watcher.end).toMatchObject({ failure: { code: 'interrupted' } });
  });

  it('that cannot be sealed now is sealed at a later look', async () => {
    await using rig = await Rig.open();
    const { record } = await rig.begin();
    rig.store.next('seal', unavailable);
    await rig.clock.advance(7 * SECOND);
    await rig.stored({ record });
    expect(rig.unexpected).toStrictEqual([]);
  });
});

describe('silence', () => {
  it('is broken at least every 10 s', async () => {
    await using rig = await Rig.open();
    await rig.clock.advance(700);
    const { record, provider } = await rig.start();
    const told: number[] = [rig.clock.now()];
    const watch = rig.replies.watch(record, { seq: 0 }, new AbortController().signal);
    void (async () => {
      for await (const _update of watch) told.push(rig.clock.now());
    })();
    await rig.clock.advance(35 * SECOND);
    provider.say('a');
    await rig.clock.advance(35 * SECOND);
    const gaps = told.slice(1).map((at, index) => at - (told[index] ?? 0));
    expect(Math.max(...gaps)).toBeLessThanOrEqual(10 * SECOND);
    expect(gaps.length).toBeGreaterThanOrEqual(7);
  });

  it('of a model that is being loaded tells how long it takes', async () => {
    await using rig = await Rig.open();
    const { record, provider } = await rig.start();
    const watcher = rig.watch(record);
    provider.send({ type: 'status', status: { state: 'model_loading', since: rig.clock.elapsed() } });
    await rig.clock.advance(40 * SECOND);
    const elapsed = watcher.statuses.map((status) => (status.state === 'model_loading' ? status.elapsedMs : -1));
    expect(elapsed[0]).toBe(0);
    expect(elapsed).toStrictEqual([...new Set(elapsed)].toSorted((one, other) => one - other));
    expect(elapsed.at(-1)).toBeGreaterThan(30 * SECOND);
  });

  it('is broken while the store is away, too', async () => {
    await using rig = await Rig.open();
    const { record } = await rig.start();
    rig.store.always(() => new Promise(() => undefined), 'renew'); // it does not even answer
    const watcher = rig.watch(record);
    await rig.clock.advance(25 * SECOND);
    expect(watcher.states).toStrictEqual(['generating', 'generating']);
  });
});

describe('a drain', () => {
  it('lets replies end by themselves', async () => {
    await using rig = await Rig.open();
    const running = await rig.start();
    const draining = rig.replies.drain(20 * SECOND);
    await rig.clock.advance(5 * SECOND);
    running.provider.say('Done.').finish();
    await rig.clock.settle();
    await draining;
    expect((await rig.stored(running)).end.state).toBe('done');
  });

  it('ends those that do not, with what was said', async () => {
    await using rig = await Rig.open();
    const running = await rig.start();
    const watcher = rig.watch(running.record);
    const draining = rig.replies.drain(20 * SECOND);
    running.provider.say('The kettle');
    await rig.clock.advance(20 * SECOND);
    await draining;
    expect((await rig.stored(running)).end).toMatchObject({
      state: 'failed',
      failure: { code: 'interrupted' },
      text: 'The kettle',
    });
    expect(watcher.isOver).toBe(true);
    expect(running.provider.isOver).toBe(true);
  });

  it('gives up an end that the store does not take, and says so', async () => {
    await using rig = await Rig.open();
    const running = await rig.start();
    const watcher = rig.watch(running.record);
    rig.store.always(unavailable, 'append', 'finish');
    const draining = rig.replies.drain(SECOND);
    await rig.clock.advance(4 * SECOND);
    await draining;
    await rig.clock.settle();
    expect(watcher.unstoredEnd).toBe('storage_unavailable');
    expect(rig.replies.running).toBe(0);
  });

  it('ends what begins while it lasts', async () => {
    await using rig = await Rig.open();
    await rig.replies.drain(SECOND);
    const running = await rig.start();
    expect((await rig.stored(running)).end.failure?.code).toBe('interrupted');
  });
});

describe('a disposal', () => {
  it('stores the ends of what runs, without waiting for time to pass', async () => {
    const rig = await Rig.open();
    const running = await rig.start();
    running.provider.holdOn();
    running.provider.say('The kettle');
    await rig.clock.settle();
    await rig.replies[Symbol.asyncDispose]();
    expect((await rig.stored(running)).end).toMatchObject({ failure: { code: 'interrupted' }, text: 'The kettle' });
    await rig[Symbol.asyncDispose]();
  });

  it('leaves no timer behind', async () => {
    const rig = await Rig.open();
    await rig.startEnded('Done.');
    await rig.start();
    await rig[Symbol.asyncDispose]();
    await rig.clock.settle();
    expect(rig.timers).toBe(0);
  });
});
