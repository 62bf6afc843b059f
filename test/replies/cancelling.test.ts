import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isEnd } from '../../src/conversation/reply-event.ts';
import { gate, lostAnswer, unavailable, works } from './faulty-store.ts';
import { Rig, SECOND, type Watcher } from './rig.ts';

describe('a cancel', () => {
  it('ends the reply with its text, lets the backend go, and says when it is free', async () => {
    await using rig = await Rig.open();
    const running = await rig.start();
    const letGo = running.provider.holdOn();
    const watcher = rig.watch(running.record);
    running.provider.say('The kettle');
    await rig.clock.settle();
    expect(await rig.replies.cancel(running.record)).toMatchObject({ type: 'ok', entry: { seq: 2 } });
    await rig.clock.settle();
    expect(watcher.end).toMatchObject({ state: 'cancelled', finishReason: 'cancelled', text: 'The kettle' });
    expect(watcher.isOver).toBe(false);
    await rig.clock.advance(700);
    letGo();
    await rig.clock.settle();
    expect(watcher.updates.at(-1)).toStrictEqual({ type: 'status', status: { state: 'released', stoppedMs: 700 } });
    expect(watcher.isOver).toBe(true);
    await rig.stored(running);
  });

  it('tells `released` after the end to a watcher that is late, too', async () => {
    await using rig = await Rig.open();
    const { record, provider } = await rig.start();
    const slow = rig.replies.watch(record, { seq: 0 }, new AbortController().signal);
    provider.say('The kettle');
    await rig.clock.settle();
    const first = await slow.next();
    await rig.replies.cancel(record);
    await rig.clock.settle();
    const updates = [first.value];
    for await (const update of slow) updates.push(update);
    const late = rig.watch(record);
    await rig.clock.settle();
    expect(updates.map((update) => update?.type)).toStrictEqual(['status', 'entries', 'status']);
    expect(late.updates.map(({ type }) => type)).toStrictEqual(['entries', 'status']);
  });

  it('does not wait for ever for a backend that does not let go', async () => {
    await using rig = await Rig.open();
    const { record, provider } = await rig.start();
    provider.holdOn();
    const watcher = rig.watch(record);
    await rig.replies.cancel(record);
    await rig.clock.advance(10 * SECOND);
    expect(watcher.states).not.toContain('released');
    expect(watcher.isOver).toBe(true);
    expect(rig.replies.running).toBe(0);
  });

  it('of a reply that has ended changes nothing', async () => {
    await using rig = await Rig.open();
    const running = await rig.startEnded('Done.');
    const before = await rig.stored(running);
    expect(await rig.replies.cancel(running.record)).toStrictEqual({ type: 'closed', state: 'done' });
    expect(await rig.stored(running)).toStrictEqual(before);
    const watcher = rig.watch(running.record);
    await rig.clock.settle();
    expect(watcher.states).toStrictEqual([]);
  });

  it('whose append was stored, but not acknowledged, shows it before the end', async () => {
    await using rig = await Rig.open();
    const answer = gate('after');
    const running = await rig.start();
    const watcher = rig.watch(running.record);
    running.provider.say('The ');
    await rig.clock.settle();
    rig.store.next('append', answer.fault);
    running.provider.say('kettle');
    await rig.clock.settle();
    await rig.replies.cancel(running.record);
    await rig.clock.settle();
    expect(watcher.seqs).toStrictEqual([1, 2, 3]);
    answer.open();
    await rig.clock.settle();
    expect(watcher.seqs).toStrictEqual([1, 2, 3]);
    expect((await rig.stored(running)).content).toBe('The kettle');
  });

  it('of a reply whose append lost its answer shows it before the end', async () => {
    await using rig = await Rig.open();
    const running = await rig.start();
    const watcher = rig.watch(running.record);
    rig.store.next('append', lostAnswer);
    running.provider.say('The kettle');
    await rig.clock.settle();
    await rig.replies.cancel(running.record);
    await rig.clock.advance(SECOND);
    expect(watcher.seqs).toStrictEqual([1, 2]);
    expect(watcher.text).toBe((await rig.stored(running)).content);
  });

  it('that was done, though its answer was lost, is noticed while the model is silent', async () => {
    await using rig = await Rig.open();
    const { record, provider } = await rig.start();
    const watcher = rig.watch(record);
    rig.store.next('cancel', lostAnswer);
    await expect(rig.replies.cancel(record)).rejects.toThrow('lost');
    await rig.clock.advance(SECOND);
    expect(provider.isOver).toBe(true);
    expect(watcher.end).toMatchObject({ state: 'cancelled' });
  });

  it('that the store does not take lets the backend go all the same, and is stored when it can be', async () => {
    await using rig = await Rig.open();
    const running = await rig.start();
    rig.store.next('cancel', unavailable);
    await expect(rig.replies.cancel(running.record)).rejects.toThrow('away');
    await rig.clock.advance(SECOND);
    expect((await rig.stored(running)).end.state).toBe('cancelled');
  });

  it('of a reply that nobody writes here needs no writer', async () => {
    await using rig = await Rig.open();
    const { record } = await rig.begin();
    await rig.clock.advance(SECOND);
    expect(await rig.replies.cancel(record)).toMatchObject({
      type: 'ok',
      entry: { seq: 1, event: { state: 'cancelled', timings: { totalMs: SECOND } } },
    });
  });

  it('at any time ends a reply exactly once, with what was shown', async () => {
    await using rig = await Rig.open();
    const moments = fc.record({
      texts: fc.array(fc.string({ unit: 'binary', minLength: 1, maxLength: 4 }), { maxLength: 5 }),
      cancelAfter: fc.nat(6),
      settles: fc.boolean(),
      appends: fc.array(fc.constantFrom('held-before', 'held-after', 'lost', 'away', 'works'), { maxLength: 3 }),
      finish: fc.constantFrom('held-before', 'held-after', 'lost', 'works'),
      cancels: fc.integer({ min: 1, max: 2 }),
    });
    let cancelled = 0;
    const property = fc.asyncProperty(moments, async ({ texts, cancelAfter, settles, appends, finish, cancels }) => {
      const running = await rig.start();
      const watchers: Watcher[] = [rig.watch(running.record)];
      const gates = [...appends, finish].map((kind) => gate(kind === 'held-after' ? 'after' : 'before'));
      for (const [index, kind] of appends.entries()) rig.store.next('append', toFault(kind, gates[index]));
      rig.store.next('finish', toFault(finish, gates.at(-1)));
      const steps = [...texts.map((text) => () => running.provider.say(text)), () => running.provider.finish()];
      const cancelling: Promise<unknown>[] = [];
      for (let step = 0; step <= 6; step++) {
        steps[step]?.();
        if (settles) await rig.clock.settle();
        if (step !== cancelAfter) continue;
        for (let times = 0; times < cancels; times++) cancelling.push(rig.replies.cancel(running.record));
      }
      await rig.clock.settle();
      watchers.push(rig.watch(running.record));
      for (const { open } of gates) open();
      await Promise.all(cancelling);
      await rig.clock.advance(2 * SECOND);
      watchers.push(rig.watch(running.record));
      await rig.clock.settle();
      rig.store.clearFaults();

      const { log, end } = await rig.stored(running);
      if (end.state === 'cancelled') cancelled += 1;
      for (const watcher of watchers) {
        expect(watcher.entries).toStrictEqual(log);
        expect(watcher.unstoredEnd).toBeUndefined();
        expect(watcher.isOver).toBe(true);
        const endAt = watcher.updates.findIndex((update) => update.type === 'entries' && update.entries.some(isEnd));
        const after = watcher.updates.slice(endAt + 1).map((update) => update.type === 'status' && update.status.state);
        expect(after).toStrictEqual(end.state === 'cancelled' ? ['released'] : []);
      }
      expect(running.provider.isOver).toBe(true);
      expect(rig.unexpected).toStrictEqual([]);
    });
    await fc.assert(property, { numRuns: 500 });
    expect(cancelled).toBeGreaterThan(100);
  });
});

const toFault = (kind: string, held = gate('before')) => {
  if (kind === 'lost') return lostAnswer;
  if (kind === 'away') return unavailable;
  return kind === 'works' ? works : held.fault;
};
