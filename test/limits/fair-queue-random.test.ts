import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LLMError } from '../../src/errors.ts';
import type { Place } from '../../src/limits/queued-place.ts';
import { host, openQueue } from './queue-rig.ts';

const HOSTS = ['a', 'b', 'c'];
const MODELS = ['m', 'x', 'y'];
const LOAD_MS = 20_000;

/** A step of a run: somebody asks, a reply ends or its host fails, somebody leaves, a host changes, time goes by. */
const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ enter: fc.constantFrom('ann', 'bob', 'cy'), model: fc.constantFrom(...MODELS) }),
  },
  { weight: 4, arbitrary: fc.record({ end: fc.nat(9) }) },
  { weight: 1, arbitrary: fc.record({ fail: fc.nat(9) }) },
  { weight: 1, arbitrary: fc.record({ leave: fc.nat(9) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      change: fc.constantFrom(...HOSTS),
      state: fc.constantFrom('up', 'suspect', 'trial', 'away'),
    }),
  },
  { weight: 2, arbitrary: fc.record({ passMs: fc.constantFrom(1_000, 7_000, 25_000) }) },
);

type Outcome = 'waiting' | 'served' | 'refused' | 'left' | 'ended';

/** One request, as its caller sees it. */
class Request {
  readonly caller: string;
  readonly model: string;
  readonly place: Place;
  readonly leaving = new AbortController();
  readonly positions: number[] = [];
  readonly number: number;
  outcome: Outcome = 'waiting';
  turns = 0;
  moves = 0;

  constructor(entered: { caller: string; model: string; number: number; place: Place }, onServed: () => void) {
    this.caller = entered.caller;
    this.model = entered.model;
    this.number = entered.number;
    this.place = entered.place;
    const queueUp = async (): Promise<void> => {
      for await (const { position } of this.place.wait(this.leaving.signal)) this.positions.push(position);
    };
    void this.#settle(queueUp(), onServed);
  }

  /** The host has failed. */
  move(onServed: () => void): void {
    this.outcome = 'waiting';
    this.moves += 1;
    void this.#settle(this.place.next(this.leaving.signal), onServed);
  }

  end(outcome: Outcome): void {
    this.outcome = outcome;
    this.place[Symbol.dispose]();
  }

  async #settle(turn: Promise<void>, onServed: () => void): Promise<void> {
    try {
      await turn;
      this.outcome = 'served';
      this.turns += 1;
      onServed();
    } catch (error) {
      this.end(error instanceof LLMError ? 'refused' : 'left');
    }
  }
}

describe('FairQueue, whatever happens', () => {
  it('keeps to the slots, serves everybody once or says why not, and never tells a worse position', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 80 }), fc.integer({ min: 1, max: 2 }), async (script, slots) => {
        const { clock, board, queue, enter } = openQueue({
          hosts: { a: host('mx', 'm'), b: host('mxy', 'x'), c: host('my') },
          slots,
          limit: 1_000,
          timeoutMs: 100_000,
        });
        const requests: Request[] = [];
        const servedOrder: Request[] = [];
        const onServed = (request: Request) => () => {
          servedOrder.push(request);
          board.change(request.place.host, { loaded: new Set(request.model) }); // each holds one model
        };
        const held = (outcome: Outcome): readonly Request[] => requests.filter((each) => each.outcome === outcome);
        const check = (): void => {
          expect(queue.waiting).toBe(held('waiting').length);
          expect(queue.serving).toBe(held('served').length);
          for (const name of HOSTS) {
            const here = held('served').filter(({ place }) => place.host === name);
            expect(queue.load(name)).toBe(here.length);
            expect(here.length).toBeLessThanOrEqual(slots);
          }
        };
        for (const each of script) {
          if ('enter' in each) {
            const place = enter(each.enter, each.model);
            const request: Request = new Request(
              { caller: each.enter, model: each.model, number: requests.length, place },
              () => onServed(request)(),
            );
            requests.push(request);
          } else if ('end' in each) held('served')[each.end]?.end('ended');
          else if ('fail' in each) {
            const request = held('served')[each.fail];
            request?.move(onServed(request));
          } else if ('leave' in each) held('waiting')[each.leave]?.leaving.abort(new Error('left'));
          else if ('change' in each) board.change(each.change, { state: each.state });
          else await clock.advance(each.passMs);
          await clock.settle();
          check();
        }
        for (const name of HOSTS) board.change(name, { state: 'up' });
        while (held('waiting').length + held('served').length > 0) {
          for (const each of held('served')) each.end('ended');
          await clock.advance(1_000);
          check();
        }
        for (const { positions, turns, moves } of requests) {
          expect(positions).toEqual([...new Set(positions)].toSorted((one, other) => other - one));
          expect(turns).toBeLessThanOrEqual(1 + moves);
        }
        const firstTurns = [...new Set(servedOrder)];
        for (const own of Object.values(Object.groupBy(firstTurns, ({ caller, model }) => `${caller} ${model}`))) {
          const numbers = (own ?? []).map(({ number }) => number);
          expect(numbers).toEqual(numbers.toSorted((one, other) => one - other));
        }
      }),
      { numRuns: 80, seed: 20_261 },
    );
  });

  it('starves nobody: whoever waits is served after one turn of each of the others, and a load', async () => {
    const callers = fc.array(
      fc.record({ model: fc.constantFrom(...MODELS), serviceMs: fc.integer({ min: 500, max: 15_000 }) }),
      {
        minLength: 5,
        maxLength: 9,
      },
    );
    await fc.assert(
      fc.asyncProperty(callers, async (asking) => {
        const { clock, board, enter } = openQueue({ hosts: { a: host('mxy', 'm'), b: host('mxy') }, timeoutMs: 1e9 });
        let longestMs = 0;
        let replies = 0;
        const over = new AbortController();
        // Each asks again as soon as it is answered, always for the same model.
        const ask = async (caller: string, model: string, serviceMs: number): Promise<void> => {
          while (!over.signal.aborted) {
            using place = enter(caller, model);
            const since = clock.now();
            const turn = place.wait(new AbortController().signal);
            while (!(await turn.next()).done);
            longestMs = Math.max(longestMs, clock.now() - since);
            const isCold = !board.host(place.host).loaded.has(model);
            board.change(place.host, { loaded: new Set(model) });
            await clock.sleep(serviceMs + (isCold ? LOAD_MS : 0));
            replies += 1;
          }
        };
        const asked = asking.map(async ({ model, serviceMs }, index) => ask(`caller ${index}`, model, serviceMs));
        await clock.advance(600_000);
        over.abort();
        await clock.advance(600_000);
        await Promise.all(asked);
        const turnMs = LOAD_MS + Math.max(...asking.map(({ serviceMs }) => serviceMs));
        expect(longestMs).toBeLessThanOrEqual(asking.length * turnMs + LOAD_MS);
        expect(replies).toBeGreaterThanOrEqual(asking.length);
      }),
      { numRuns: 10, seed: 20_262 },
    );
  });
});
