import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StorageLostError } from '../../src/errors.ts';
import { acknowledgedAndLost, full, gate, lostAnswer, unavailable, works } from './faulty-store.ts';
import { Rig, SECOND } from './rig.ts';

describe('a store that is away for a while', () => {
  it('loses and doubles nothing, and watchers are told once that it is away', async () => {
    await using rig = await Rig.open();
    const running = await rig.start();
    const watcher = rig.watch(running.record);
    running.provider.say('a');
    await rig.clock.settle();
    rig.store.always(unavailable, 'append', 'finish', 'renew');
    for (let second = 0; second < 20; second++) {
      running.provider.say('b');
      await rig.clock.advance(SECOND);
    }
    expect(watcher.text).toBe('a');
    expect(watcher.states.filter((state) => state === 'generating')).toHaveLength(1);
    rig.store.mend();
    await rig.clock.advance(SECOND);
    running.provider.say('c').finish();
    await rig.clock.settle();
    const { log, content } = await rig.stored(running);
    expect(content).toBe(`a${'b'.repeat(20)}c`);
    expect(watcher.entries).toStrictEqual(log);
    // Twice while it is away: when it goes, and to break the silence.
    expect(watcher.states).toStrictEqual(['generating', 'degraded', 'degraded', 'degraded', 'generating']);
  });

  it('goes back to what the model was doing', async () => {
    await using rig = await Rig.open();
    const { record, provider } = await rig.start();
    const watcher = rig.watch(record);
    rig.store.next('append', unavailable);
    provider.say('a');
    await rig.clock.settle();
    provider.send({ type: 'status', status: { state: 'retrying', attempt: 1 } });
    await rig.clock.advance(SECOND);
    expect(watcher.statuses).toStrictEqual([
      { state: 'generating' },
      { state: 'degraded' },
      { state: 'retrying', attempt: 1 },
    ]);
  });

  it('whose answers get lost doubles nothing', async () => {
    await using rig = await Rig.open();
    const faults = fc.array(fc.constantFrom(lostAnswer, unavailable, works), { maxLength: 12 });
    const property = fc.asyncProperty(faults, faults, async (appends, finishes) => {
      rig.store.clearFaults();
      rig.store.next('append', ...appends);
      rig.store.next('finish', ...finishes);
      const running = await rig.start();
      const watcher = rig.watch(running.record);
      for (let word = 0; word < 8; word++) {
        running.provider.say(`${word} `);
        await rig.clock.advance(200);
      }
      running.provider.finish();
      await rig.clock.advance(20 * SECOND);
      const { log, content, end } = await rig.stored(running);
      expect([content, end.state]).toStrictEqual(['0 1 2 3 4 5 6 7 ', 'done']);
      const seen = watcher.entries;
      expect(seen).toStrictEqual(watcher.unstoredEnd === undefined ? log : log.slice(0, seen.length));
    });
    await fc.assert(property, { numRuns: 60 });
  });

  it('does not make a success of a reply whose last words wait', async () => {
    await using rig = await Rig.open();
    const running = await rig.start();
    rig.store.always(unavailable, 'append', 'finish', 'renew');
    running.provider.say('The kettle').say(' boils.').finish();
    await rig.clock.advance(90 * SECOND);
    rig.store.mend();
    await rig.clock.advance(2 * SECOND);
    expect(await rig.stored(running)).toMatchObject({ content: 'The kettle boils.', end: { state: 'done' } });
  });
});

describe('a store that is away for longer than a minute', () => {
  it.each([
    ['nothing was stored', unavailable],
    ['the answers were lost', lostAnswer],
  ])('ends the reply, and stores that when it is back, though %s', async (_, fault) => {
    await using rig = await Rig.open();
    const running = await rig.start();
    running.provider.say('The ');
    await rig.clock.settle();
    const watcher = rig.watch(running.record);
    rig.store.next('append', fault);
    rig.store.always(unavailable, 'append', 'finish', 'renew');
    running.provider.say('kettle');
    await rig.clock.advance(61 * SECOND);
    running.provider.say(' boils.'); // nobody listens any more
    await rig.clock.advance(10 * SECOND);
    expect(running.provider.isOver).toBe(true);
    expect(watcher.seqs).toStrictEqual([1]);
    expect(watcher.unstoredEnd).toBe('storage_unavailable');
    expect(watcher.isOver).toBe(true);

    rig.store.mend();
    await rig.clock.advance(2 * SECOND);
    const { log, content, end } = await rig.stored(running);
    expect(content).toBe('The kettle');
    expect(end.failure?.code).toBe('storage_unavailable');
    const later = rig.watch(running.record, { seq: 1, at: 4 });
    await rig.clock.settle();
    expect(later.entries).toStrictEqual(log.slice(1));
    expect(later.unstoredEnd).toBeUndefined();
  });
});

describe('a store that is full', () => {
  it('ends the reply with what was acknowledged', async () => {
    await using rig = await Rig.open();
    const running = await rig.start();
    const watcher = rig.watch(running.record);
    running.provider.say('The ');
    await rig.clock.settle();
    rig.store.next('append', full);
    running.provider.say('kettle');
    await rig.clock.settle();
    const { content, end, log } = await rig.stored(running);
    expect(content).toBe('The ');
    expect(end).toMatchObject({ state: 'failed', failure: { code: 'storage_full' } });
    expect(watcher.entries).toStrictEqual(log);
    expect(running.provider.isOver).toBe(true);
  });

  it('keeps what it may have stored before it was full', async () => {
    await using rig = await Rig.open();
    const running = await rig.start();
    rig.store.next('append', lostAnswer, full);
    running.provider.say('The kettle');
    await rig.clock.advance(SECOND);
    expect(await rig.stored(running)).toMatchObject({
      content: 'The kettle',
      end: { failure: { code: 'storage_full' } },
    });
  });

  it('tells watchers of an end that it does not take, and takes it later', async () => {
    await using rig = await Rig.open();
    const running = await rig.start();
    const watcher = rig.watch(running.record);
    rig.store.always(full, 'append', 'finish');
    running.provider.say('The kettle').finish();
    await rig.clock.settle();
    expect(watcher.unstoredEnd).toBe('storage_full');
    expect(watcher.isOver).toBe(true);
    rig.store.mend();
    await rig.clock.advance(SECOND);
    await rig.stored(running);
  });
});

describe('an end that the store does not take', () => {
  it('is waited for as long as the store may be starting again', async () => {
    await using rig = await Rig.open();
    const running = await rig.start();
    const watcher = rig.watch(running.record);
    rig.store.always(unavailable, 'append', 'finish');
    running.provider.say('Done.').finish();
    await rig.clock.advance(4 * SECOND);
    expect(watcher.states.at(-1)).toBe('degraded');
    expect(watcher.isOver).toBe(false);
    rig.store.mend();
    await rig.clock.advance(SECOND);
    expect(watcher.entries).toStrictEqual((await rig.stored(running)).log);
    expect(watcher.unstoredEnd).toBeUndefined();
  });

  it('ends the watches without a number, and is stored and shown when it can be', async () => {
    await using rig = await Rig.open();
    const running = await rig.start();
    const watcher = rig.watch(running.record);
    rig.store.always(unavailable, 'append', 'finish');
    running.provider.say('Done.').finish();
    await rig.clock.advance(20 * SECOND);
    expect(watcher.updates.at(-1)).toMatchObject({ type: 'unstored-end', failure: { code: 'storage_unavailable' } });
    const meanwhile = rig.watch(running.record);
    await rig.clock.settle();
    expect(meanwhile.unstoredEnd).toBe('storage_unavailable');
    rig.store.mend();
    await rig.clock.advance(SECOND);
    const { log, end } = await rig.stored(running);
    expect(end).toMatchObject({ state: 'done', text: 'Done.' });
    const later = rig.watch(running.record);
    await rig.clock.settle();
    expect(later.entries).toStrictEqual(log);
  });

  it('tells the operator once of an error that is nobody’s', async () => {
    await using rig = await Rig.open();
    const running = await rig.start();
    rig.store.always(() => Promise.reject(new TypeError('broken')), 'finish');
    running.provider.say('Done.').finish();
    await rig.clock.advance(10 * SECOND);
    expect(rig.unexpected).toHaveLength(1);
  });

  it('that was stored, though its answer was lost, is shown as it was stored', async () => {
    await using rig = await Rig.open();
    const running = await rig.start();
    const watcher = rig.watch(running.record);
    rig.store.next('finish', lostAnswer);
    running.provider.say('Done.').finish();
    await rig.clock.advance(2 * SECOND);
    expect(watcher.entries).toStrictEqual((await rig.stored(running)).log);
    expect(watcher.states).not.toContain('released');
  });
});

describe('a store that has lost a tail', () => {
  it.each([1, 2, 3])('gets it again at the same numbers: %d events', async (lost) => {
    await using rig = await Rig.open();
    const running = await rig.start();
    const watcher = rig.watch(running.record);
    const faults = Array.from({ length: 3 }, (_, append) => (append < 3 - lost ? works : acknowledgedAndLost));
    rig.store.next('append', ...faults);
    for (const text of ['a', 'b', 'c']) {
      running.provider.say(text);
      await rig.clock.settle();
    }
    running.provider.say('d');
    await rig.clock.settle();
    running.provider.finish();
    await rig.clock.settle();
    const { log } = await rig.stored(running);
    expect(log).toHaveLength(5);
    expect(watcher.entries).toStrictEqual(log);
  });

  it('gets it again with the end', async () => {
    await using rig = await Rig.open();
    const running = await rig.start();
    const watcher = rig.watch(running.record);
    rig.store.next('append', acknowledgedAndLost);
    running.provider.say('a');
    await rig.clock.settle();
    expect(watcher.text).toBe('a');
    running.provider.send(
      { type: 'text-delta', channel: 'content', text: 'b' },
      { type: 'finish', finishReason: 'stop' },
    );
    await rig.clock.settle();
    expect(watcher.entries).toStrictEqual((await rig.stored(running)).log);
  });

  it('and was told to cancel, rewinds those who have seen more', async () => {
    await using rig = await Rig.open();
    const running = await rig.start();
    const watcher = rig.watch(running.record);
    rig.store.next('append', acknowledgedAndLost);
    running.provider.say('Never stored.');
    await rig.clock.settle();
    await rig.replies.cancel(running.record);
    await rig.clock.advance(SECOND);
    expect(watcher.text).toBe('Never stored.');
    expect(watcher.rewinds).toMatchObject([
      { seq: 0, text: '' },
      { seq: 0, text: '' },
    ]);
    expect(watcher.end).toMatchObject({ state: 'cancelled', text: '' });
  });
});

describe('a reply that is no longer ours', () => {
  it('is let go, and its watchers go on with the log of its new writer', async () => {
    await using rig = await Rig.open();
    const { record, provider } = await rig.start();
    const watcher = rig.watch(record);
    provider.say('a');
    await rig.clock.settle();
    rig.store.answer = { type: 'fenced' };
    rig.store.renewAnswer = { type: 'fenced' };
    provider.say('b');
    await rig.clock.settle();
    expect(provider.isOver).toBe(true);
    expect(rig.replies.running).toBe(0);
    rig.store.mend();
    await rig.replies.cancel(record); // as if by its new writer
    await rig.clock.advance(SECOND);
    expect(watcher.updates.map(({ type }) => type)).toStrictEqual(['status', 'entries', 'entries']);
    expect(watcher.seqs).toStrictEqual([1, 2]);
  });

  it.each(['fenced', 'gone'] as const)('is let go within a second while the model is silent: %s', async (type) => {
    await using rig = await Rig.open();
    const { provider } = await rig.start();
    rig.store.renewAnswer = { type };
    await rig.clock.advance(SECOND);
    expect(provider.isOver).toBe(true);
    expect(rig.replies.running).toBe(0);
  });

  it('with a store that cannot be read then tells its watchers so', async () => {
    await using rig = await Rig.open();
    const { record, provider } = await rig.start();
    const watcher = rig.watch(record);
    rig.store.answer = { type: 'fenced' };
    rig.store.always(() => Promise.reject(new StorageLostError('The file is damaged.')), 'readLog');
    provider.say('a');
    await rig.clock.settle();
    expect(watcher.error).toMatchObject({ code: 'storage_lost' });
  });
});

describe('a call of many replies', () => {
  it('that fails does not mix them up', async () => {
    await using rig = await Rig.open();
    const all = await Promise.all(Array.from({ length: 5 }, () => rig.start()));
    const held = gate('after');
    rig.store.next('append', held.fault, lostAnswer, unavailable);
    for (const [index, { provider }] of all.entries()) provider.say(`${index}`);
    await rig.clock.settle();
    for (const [index, { provider }] of all.entries()) provider.say(`+${index}`);
    held.open();
    await rig.clock.advance(SECOND);
    for (const { provider } of all) provider.finish();
    await rig.clock.settle();
    for (const [index, running] of all.entries()) {
      expect((await rig.stored(running)).content).toBe(`${index}+${index}`);
    }
  });
});
