import { describe, expect, it } from 'vitest';
import { RateLimitedError } from '../../src/errors.ts';
import { Quota } from '../../src/limits/quota.ts';
import { MemoryCallerLimits } from '../../src/stores/memory-caller-limits.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

const open = (requestsPerMinute = 3, maxConcurrent = 2) => {
  const clock = new VirtualClock();
  const quota = new Quota(new MemoryCallerLimits(clock), { requestsPerMinute, maxConcurrent }, clock);
  const charge = (request: string, owner = 'ann') => quota.charge({ owner, request });
  return { clock, quota, charge, [Symbol.dispose]: () => quota[Symbol.dispose]() };
};

describe('Quota', () => {
  it('refuses what is too much in a minute with limit, remaining and the wait, and lets it pass after that', async () => {
    using rig = open();
    for (const request of ['r1', 'r2', 'r3']) await (await rig.charge(request)).end();
    await rig.clock.advance(20_000);
    const refused = await rig.charge('r4').catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(RateLimitedError);
    expect(refused).toMatchObject({
      code: 'rate_limited',
      limit: 3,
      remaining: 0,
      windowMs: 60_000,
      retryAfterMs: 40_000,
      retryable: true,
    });
    expect(await rig.charge('r4', 'bob')).toMatchObject({ remaining: 2 });
    await rig.clock.advance(40_000);
    expect(await rig.charge('r4')).toMatchObject({ remaining: 2 });
  });

  it('charges a repeated request once', async () => {
    using rig = open(1, 1);
    await rig.charge('r1');
    expect(await rig.charge('r1')).toMatchObject({ remaining: 0 });
  });

  it('gives back what has begun nothing', async () => {
    using rig = open(1, 1);
    await (await rig.charge('r1')).refund();
    expect(await rig.charge('r2')).toMatchObject({ remaining: 0 });
  });

  it('counts replies that run, for as long as they do', async () => {
    using rig = open(100, 2);
    const [first] = await Promise.all([rig.charge('r1'), rig.charge('r2')]);
    first.begin();
    await expect(rig.charge('r3')).rejects.toMatchObject({ code: 'rate_limited', limit: 2 });
    await first.end();
    expect(await rig.charge('r3')).toMatchObject({ remaining: 97 });
  });

  it('counts one reply more for what takes the place of one that is about to end', async () => {
    using rig = open(100, 1);
    const first = await rig.charge('r1');
    const replacing = await rig.quota.charge({ owner: 'ann', request: 'r2' }, { isReplacing: true });
    const more = rig.quota.charge({ owner: 'ann', request: 'r3' }, { isReplacing: true });
    await expect(more).rejects.toMatchObject({ code: 'rate_limited', limit: 1 });
    await first.end();
    await replacing.end();
    expect(await rig.charge('r4')).toMatchObject({ remaining: 97 });
  });

  it('renews what runs; what nobody renews counts no more', async () => {
    using rig = open(100, 2);
    const [first] = await Promise.all([rig.charge('r1'), rig.charge('r2')]);
    first.begin();
    await rig.clock.advance(10_000); // the second one's instance is gone
    await rig.charge('r3');
    await expect(rig.charge('r4')).rejects.toMatchObject({ code: 'rate_limited' });
  });
});
