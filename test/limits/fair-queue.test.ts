import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { QueueFullError } from '../../src/errors.ts';
import type { Place } from '../../src/limits/queued-place.ts';
import type { VirtualClock } from '../support/virtual-clock.ts';
import { follow, openQueue as open } from './queue-rig.ts';

const settle = (clock: VirtualClock): Promise<void> => clock.advance(0);

describe('FairQueue', () => {
  it('serves at once while there is a slot, and tells no position', async () => {
    const { queue, enter } = open({ slots: 2 });
    const { positions, turn } = follow(enter('ann'));
    await turn;
    expect(positions).toEqual([]);
    expect(queue).toMatchObject({ serving: 1, waiting: 0 });
  });

  it('serves callers turn by turn: twenty of one do not starve one of another', async () => {
    const { clock, enter } = open();
    const running = enter('ann');
    const served: string[] = [];
    const places = [...Array.from({ length: 20 }, (_, index) => `ann${index}`), 'bob0'].map((name) => {
      const place = enter(name.slice(0, 3));
      void follow(place).turn.then(() => served.push(name));
      return place;
    });
    running[Symbol.dispose]();
    await settle(clock);
    for (let index = 0; index < 3; index++) {
      places[served[index] === 'bob0' ? 20 : Number(served[index]?.slice(3))]?.[Symbol.dispose]();
      await settle(clock);
    }
    expect(served.slice(0, 3)).toEqual(['ann0', 'bob0', 'ann1']);
  });

  it('tells positions that never rise, and the last of them is the first', async () => {
    const { clock, enter } = open();
    const running = [enter('x')];
    const ann = follow(enter('ann'));
    const second = enter('ann');
    const watched = follow(second);
    await settle(clock);
    follow(enter('bob')); // comes later, and before ann's second
    await settle(clock);
    running[0]?.[Symbol.dispose]();
    await settle(clock);
    expect(ann.positions.map(({ position }) => position)).toEqual([1]);
    const told = watched.positions.map(({ position }) => position);
    expect(told).toEqual(told.toSorted((a, b) => b - a));
    expect(told[0]).toBe(2);
  });

  it('expects a wait by what was measured, and nothing before', async () => {
    const { clock, enter } = open();
    const first = enter('ann');
    await follow(first).turn;
    const waiting = follow(enter('bob'));
    await clock.advance(4_000);
    expect(waiting.positions).toEqual([{ position: 1 }]);
    first[Symbol.dispose]();
    const late = follow(enter('cy'));
    await settle(clock);
    expect(late.positions).toEqual([{ position: 1, expectedMs: 4_000 }]);
  });

  it('refuses at once when nobody else may wait, with the time after which it is worth asking', async () => {
    const { clock, enter } = open({ limit: 1 });
    const first = enter('ann');
    await follow(first).turn;
    await clock.advance(2_000);
    first[Symbol.dispose]();
    enter('ann');
    enter('bob');
    expect(() => enter('cy')).toThrow(QueueFullError);
    expect(() => enter('cy')).toThrow(expect.objectContaining({ retryAfterMs: 2_000, code: 'queue_full' }));
  });

  it('lets nobody wait for longer than its time', async () => {
    const { clock, queue, enter } = open({ timeoutMs: 5_000 });
    enter('ann');
    const place = enter('bob');
    const { turn } = follow(place);
    await clock.advance(5_000);
    await expect(turn).rejects.toThrow(QueueFullError);
    place[Symbol.dispose]();
    expect(queue.waiting).toBe(0);
  });

  it('lets nobody wait for longer than its time for what the host takes in a minute', async () => {
    const reasons: unknown[] = [];
    const { clock, enter } = open({
      timeoutMs: 5_000,
      admit: async (_host, signal) => {
        const { promise, reject } = Promise.withResolvers<void>();
        signal.addEventListener('abort', () => reject(signal.reason));
        await promise.catch((error: unknown) => {
          reasons.push(error);
          throw error;
        });
      },
    });
    using _place = enter('ann');
    const { positions, turn } = follow(_place);
    await clock.advance(5_000);
    await expect(turn).rejects.toThrow(QueueFullError);
    expect(reasons).toEqual([expect.any(QueueFullError)]);
    expect(positions).toEqual([{ position: 1 }]);
  });

  it('learns nothing from a place that came to nothing', async () => {
    const { clock, enter } = open({ limit: 0 });
    const first = enter('ann');
    await follow(first).turn;
    await clock.advance(8_000);
    first[Symbol.dispose]();
    for (let count = 0; count < 50; count++) enter('bob')[Symbol.dispose]();
    enter('ann');
    expect(() => enter('cy')).toThrow(expect.objectContaining({ retryAfterMs: 8_000 }));
  });

  it('is left at once by who cancels, and the others move up', async () => {
    const { clock, enter } = open();
    enter('ann');
    const leaving = new AbortController();
    const place = enter('bob');
    const left = follow(place, leaving.signal);
    const behind = follow(enter('cy'));
    await settle(clock);
    leaving.abort(new Error('changed my mind'));
    await expect(left.turn).rejects.toThrow('changed my mind');
    place[Symbol.dispose]();
    await settle(clock);
    expect(behind.positions.map(({ position }) => position)).toEqual([2, 1]);
  });

  it('never serves more than its slots, loses nobody, and keeps a caller’s own order', async () => {
    const steps = fc.array(
      fc.oneof(
        fc.constantFrom('a', 'b', 'c').map((caller) => ({ enter: caller })),
        fc.nat(9).map((leave) => ({ leave })),
      ),
      { maxLength: 60 },
    );
    await fc.assert(
      fc.asyncProperty(steps, fc.integer({ min: 1, max: 3 }), async (script, slots) => {
        const { clock, queue, enter } = open({ slots, limit: 1_000 });
        const held: { readonly caller: string; readonly number: number; readonly place: Place }[] = [];
        const served: { readonly caller: string; readonly number: number }[] = [];
        let number = 0;
        for (const step of script) {
          if ('enter' in step) {
            const entry = { caller: step.enter, number: (number += 1), place: enter(step.enter) };
            held.push(entry);
            void follow(entry.place).turn.then(
              () => served.push(entry),
              () => undefined,
            );
          } else {
            held.splice(step.leave, 1)[0]?.place[Symbol.dispose]();
          }
          await settle(clock);
          expect(queue.serving).toBe(Math.min(slots, held.length));
          expect(queue.serving + queue.waiting).toBe(held.length);
        }
        for (const caller of ['a', 'b', 'c']) {
          const numbers = served.filter((each) => each.caller === caller).map((each) => each.number);
          expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
        }
      }),
      { numRuns: 60 },
    );
  });
});
