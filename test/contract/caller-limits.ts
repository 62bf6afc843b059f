import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type CallerAllowance,
  type CallerLimits,
  type ChargeAnswer,
  RUNNING_LEASE_MS,
} from '../../src/stores/caller-limits.ts';
import { MINUTE_MS } from '../../src/stores/chat-store.ts';

/** Limits with the time that they count in. */
export interface LimitsHarness extends AsyncDisposable {
  /** Nothing is used at first. */
  readonly limits: CallerLimits;
  now(): number;
  advance(ms: number): Promise<void>;
}

const RUNS = 60;

const allowance: CallerAllowance = { requestsPerMinute: 3, maxConcurrent: 2 };

let count = 0;

/** No two tests, and no two runs of one, have the same caller. */
const newOwner = (): string => `owner ${++count}`;

/** What all limits of callers keep to. `open` gives fresh ones each time. */
export const describeCallerLimits = (name: string, open: () => Promise<LimitsHarness>): void => {
  describe(`CallerLimits, ${name}`, () => {
    describeRate(open);
    describeRunning(open);
  });
};

const describeRate = (open: () => Promise<LimitsHarness>): void => {
  describe('requests per minute', () => {
    it('are counted down, and free again a minute after each', async () => {
      await using harness = await open();
      const owner = newOwner();
      expect(await chargeEnded(harness, owner, 'a')).toStrictEqual({ type: 'ok', remaining: 2 });
      await harness.advance(10_000);
      expect(await chargeEnded(harness, owner, 'b')).toStrictEqual({ type: 'ok', remaining: 1 });
      expect(await chargeEnded(harness, owner, 'c')).toStrictEqual({ type: 'ok', remaining: 0 });

      expect(await chargeEnded(harness, owner, 'd')).toStrictEqual({ type: 'rate-limited', retryAfterMs: 50_000 });
      await harness.advance(49_999);
      expect(await chargeEnded(harness, owner, 'd')).toStrictEqual({ type: 'rate-limited', retryAfterMs: 1 });
      await harness.advance(1);
      expect(await chargeEnded(harness, owner, 'd')).toStrictEqual({ type: 'ok', remaining: 0 });
      expect(await chargeEnded(harness, owner, 'e')).toStrictEqual({ type: 'rate-limited', retryAfterMs: 10_000 });
    });

    it('cost nothing when they are repeated', async () => {
      await using harness = await open();
      const owner = newOwner();
      for (const request of ['a', 'b', 'c']) await chargeEnded(harness, owner, request);
      await harness.advance(1_000);
      expect(await chargeEnded(harness, owner, 'a')).toStrictEqual({ type: 'ok', remaining: 0 });
      await harness.advance(MINUTE_MS - 1_000);
      expect(await chargeEnded(harness, owner, 'd')).toStrictEqual({ type: 'ok', remaining: 2 });
    });

    it('are given back by a refund, once', async () => {
      await using harness = await open();
      const owner = newOwner();
      for (const request of ['a', 'b', 'c']) await chargeEnded(harness, owner, request);
      await harness.limits.refund({ owner, request: 'b' });
      await harness.limits.refund({ owner, request: 'b' });
      await harness.limits.refund({ owner, request: 'never' });
      expect(await chargeEnded(harness, owner, 'd')).toStrictEqual({ type: 'ok', remaining: 0 });
      expect(await chargeEnded(harness, owner, 'e')).toMatchObject({ type: 'rate-limited' });
    });

    it('are each caller’s own, whatever the names are made of', async () => {
      await using harness = await open();
      const owners = ['', '🫖', '{s00}', 'a\0b', 'a', 'half \ud83e', 'half \ud83f', 'half \ufffd'].map(
        (name) => name + newOwner(),
      );
      for (const owner of owners) {
        for (const remaining of [2, 1, 0]) {
          const request = `\udc00 {${remaining}}`;
          expect(await chargeEnded(harness, owner, request)).toStrictEqual({ type: 'ok', remaining });
        }
        expect(await chargeEnded(harness, owner, '\udc01 {2}')).toMatchObject({ type: 'rate-limited' });
      }
    });

    it('that are refused use up nothing', async () => {
      await using harness = await open();
      const owner = newOwner();
      for (const request of ['a', 'b']) await charge(harness, owner, request);
      const refused = await Promise.all(['c', 'd', 'e'].map((request) => charge(harness, owner, request)));
      expect(refused.map((answer) => answer.type)).toStrictEqual(Array(3).fill('too-many-running'));
      await harness.limits.release({ owner, request: 'a' });
      expect(await charge(harness, owner, 'f')).toStrictEqual({ type: 'ok', remaining: 0 });
    });

    it('wait for as many to leave as a smaller allowance demands', async () => {
      await using harness = await open();
      const owner = newOwner();
      for (const request of ['a', 'b', 'c']) {
        await chargeEnded(harness, owner, request);
        await harness.advance(1_000);
      }
      const one = { ...allowance, requestsPerMinute: 1 };
      const answer = await harness.limits.charge({ owner, request: 'd' }, one);
      expect(answer).toStrictEqual({ type: 'rate-limited', retryAfterMs: MINUTE_MS - 1_000 });
    });

    it('are never more than allowed in any sixty seconds, and never refused without need', async () => {
      await using harness = await open();
      const step = fc.record({ pauseMs: fc.nat(30_000), requests: fc.integer({ min: 1, max: 5 }) });
      const property = fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
        const owner = newOwner();
        const accepted: number[] = [];
        for (const { pauseMs, requests } of steps) {
          await harness.advance(pauseMs);
          const now = harness.now();
          const names = Array.from({ length: requests }, () => `request ${++count}`);
          const answers = await Promise.all(names.map((request) => chargeEnded(harness, owner, request)));
          const inMinute = accepted.filter((at) => at > now - MINUTE_MS).length;
          const taken = answers.filter((answer) => answer.type === 'ok').length;
          expect(taken).toBe(Math.min(requests, allowance.requestsPerMinute - inMinute));
          accepted.push(...Array<number>(taken).fill(now));
        }
        for (const start of accepted) {
          const inMinute = accepted.filter((at) => at >= start && at < start + MINUTE_MS);
          expect(inMinute.length).toBeLessThanOrEqual(allowance.requestsPerMinute);
        }
      });
      await expect(fc.assert(property, { numRuns: RUNS })).resolves.toBeUndefined();
    });
  });
};

const describeRunning = (open: () => Promise<LimitsHarness>): void => {
  describe('running replies', () => {
    it('are never more than allowed, and free when released', async () => {
      await using harness = await open();
      const owner = newOwner();
      const answers = await Promise.all(['a', 'b', 'c'].map((request) => charge(harness, owner, request)));
      expect(answers.map((answer) => answer.type)).toStrictEqual(['ok', 'ok', 'too-many-running']);
      expect(answers[2]).toStrictEqual({ type: 'too-many-running', running: 2 });
      await harness.limits.release({ owner, request: 'a' });
      await harness.limits.release({ owner, request: 'a' });
      expect(await charge(harness, owner, 'c')).toMatchObject({ type: 'ok' });
    });

    it('are given back by a refund', async () => {
      await using harness = await open();
      const owner = newOwner();
      for (const request of ['a', 'b']) await charge(harness, owner, request);
      await harness.limits.refund({ owner, request: 'b' });
      expect(await charge(harness, owner, 'c')).toStrictEqual({ type: 'ok', remaining: 1 });
    });

    it('count once when the request is repeated', async () => {
      await using harness = await open();
      const owner = newOwner();
      for (const request of ['a', 'a', 'a']) await charge(harness, owner, request);
      expect(await charge(harness, owner, 'b')).toMatchObject({ type: 'ok', remaining: 1 });
      expect(await charge(harness, owner, 'a')).toMatchObject({ type: 'ok', remaining: 1 });
    });

    it('count no more when nobody has renewed them, as their instance may be gone', async () => {
      await using harness = await open();
      const owner = newOwner();
      for (const request of ['a', 'b']) await charge(harness, owner, request);
      await harness.advance(RUNNING_LEASE_MS - 1);
      expect(await charge(harness, owner, 'c')).toMatchObject({ type: 'too-many-running' });
      await harness.advance(1);
      expect(await charge(harness, owner, 'c')).toMatchObject({ type: 'ok' });
    });

    it('count for as long as they are renewed, whoever they belong to', async () => {
      await using harness = await open();
      const owners = [newOwner(), newOwner()];
      const requests = owners.flatMap((owner) => ['a', 'b'].map((request) => ({ owner, request })));
      for (const request of requests) await harness.limits.charge(request, allowance);
      for (let beat = 0; beat < 4; beat++) {
        await harness.advance(RUNNING_LEASE_MS / 2);
        await harness.limits.renew(requests);
      }
      for (const owner of owners) expect(await charge(harness, owner, 'c')).toMatchObject({ type: 'too-many-running' });
      await harness.limits.renew([]);
    });

    it('count again when they are renewed late', async () => {
      await using harness = await open();
      const owner = newOwner();
      for (const request of ['a', 'b']) await charge(harness, owner, request);
      await harness.advance(RUNNING_LEASE_MS);
      await harness.limits.renew([
        { owner, request: 'a' },
        { owner, request: 'b' },
      ]);
      expect(await charge(harness, owner, 'c')).toMatchObject({ type: 'too-many-running', running: 2 });
    });
  });
};

const charge = ({ limits }: LimitsHarness, owner: string, request: string): Promise<ChargeAnswer> =>
  limits.charge({ owner, request }, allowance);

/** A request whose reply has ended at once. */
const chargeEnded = async ({ limits }: LimitsHarness, owner: string, request: string): Promise<ChargeAnswer> => {
  const answer = await limits.charge({ owner, request }, { ...allowance, maxConcurrent: 100 });
  await limits.release({ owner, request });
  return answer;
};
