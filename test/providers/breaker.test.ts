import { describe, expect, it } from 'vitest';
import { Breaker } from '../../src/providers/breaker.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

interface Rig {
  readonly clock: VirtualClock;
  readonly breaker: Breaker;
  readonly states: string[];
}

const open = (): Rig => {
  const clock = new VirtualClock();
  const states: string[] = [];
  return { clock, states, breaker: new Breaker(clock, (state) => states.push(state)) };
};

const fail = ({ breaker }: Rig, times: number): void => {
  for (let call = 0; call < times; call++) breaker.begin()?.fail('failure');
};

const succeed = ({ breaker }: Rig, times: number): void => {
  for (let call = 0; call < times; call++) breaker.begin()?.succeed();
};

/** The time is over, and the host says that it is there. */
const comeBack = async ({ breaker, clock }: Rig): Promise<void> => {
  await clock.advance(breaker.waitMs);
  breaker.answered();
};

describe('a breaker that is closed', () => {
  it('lets all calls through', () => {
    const rig = open();
    succeed(rig, 100);
    expect(rig.breaker.state).toBe('closed');
    expect(rig.breaker.waitMs).toBe(0);
  });

  it('opens at once when nobody is there', () => {
    const rig = open();
    rig.breaker.begin()?.fail('unreachable');
    expect(rig.breaker.state).toBe('open');
    expect(rig.breaker.begin()).toBeUndefined();
  });

  it('opens at once when the host does not say that it is there', () => {
    const rig = open();
    rig.breaker.unanswered();
    expect(rig.breaker.state).toBe('open');
  });

  it('opens after five failures in 30 s where few calls are made', () => {
    const rig = open();
    succeed(rig, 10);
    fail(rig, 4);
    expect(rig.breaker.state).toBe('closed');
    fail(rig, 1);
    expect(rig.breaker.state).toBe('open');
  });

  it('forgets failures after 30 s', async () => {
    const rig = open();
    fail(rig, 4);
    await rig.clock.advance(30_000);
    fail(rig, 4);
    expect(rig.breaker.state).toBe('closed');
  });

  it('opens when half of many calls fail, and not when fewer do', () => {
    const rig = open();
    succeed(rig, 40);
    fail(rig, 39);
    expect(rig.breaker.state).toBe('closed');
    fail(rig, 1);
    expect(rig.breaker.state).toBe('open');
  });

  it('does not count calls that say nothing of the host, nor what is said twice', () => {
    const rig = open();
    for (let call = 0; call < 10; call++) rig.breaker.begin()?.[Symbol.dispose]();
    const attempt = rig.breaker.begin();
    for (let word = 0; word < 10; word++) attempt?.fail('failure');
    expect(rig.breaker.state).toBe('closed');
  });
});

describe('a breaker that is open', () => {
  it('lets nothing through, also after its time, until the host has said that it is there', async () => {
    const rig = open();
    fail(rig, 5);
    expect(rig.breaker.waitMs).toBe(2_000);
    await rig.clock.advance(60_000);
    expect(rig.breaker.begin()).toBeUndefined();
    rig.breaker.answered();
    expect(rig.breaker.state).toBe('half-open');
  });

  it('waits 2, 4, 8 and then 12 s while the host does not say so', async () => {
    const rig = open();
    rig.breaker.unanswered();
    const waits: number[] = [];
    for (let probe = 0; probe < 5; probe++) {
      waits.push(rig.breaker.waitMs);
      await rig.clock.advance(rig.breaker.waitMs);
      rig.breaker.unanswered();
    }
    expect(waits).toEqual([2_000, 4_000, 8_000, 12_000, 12_000]);
  });

  it('closes at once when the host was only away', async () => {
    const rig = open();
    rig.breaker.begin()?.fail('unreachable');
    await comeBack(rig);
    expect(rig.states).toEqual(['open', 'closed']);
  });

  it('gives a host that failed before it went away no more than a trial', async () => {
    const rig = open();
    fail(rig, 5);
    rig.breaker.unanswered();
    await comeBack(rig);
    expect(rig.breaker.state).toBe('half-open');
  });

  it('closes when a call that was begun before succeeds, and ignores its failure', () => {
    const rig = open();
    const [one, other] = [rig.breaker.begin(), rig.breaker.begin()];
    fail(rig, 5);
    one?.fail('unreachable');
    expect(rig.breaker.waitMs).toBe(2_000);
    other?.succeed();
    expect(rig.breaker.state).toBe('closed');
  });
});

describe('a breaker that is half open', () => {
  const halfOpen = async (): Promise<Rig> => {
    const rig = open();
    fail(rig, 5);
    await comeBack(rig);
    return rig;
  };

  it('lets one call through at a time', async () => {
    const rig = await halfOpen();
    const trial = rig.breaker.begin();
    expect(trial).toBeDefined();
    expect(rig.breaker.begin()).toBeUndefined();
    trial?.[Symbol.dispose]();
    expect(rig.breaker.begin()).toBeDefined();
  });

  it('closes when that succeeds, and has forgotten what was', async () => {
    const rig = await halfOpen();
    succeed(rig, 1);
    fail(rig, 4);
    expect(rig.breaker.state).toBe('closed');
    fail(rig, 1);
    expect(rig.breaker.waitMs).toBe(2_000);
  });

  it('opens for longer when that fails, up to 12 s', async () => {
    const rig = await halfOpen();
    const waits: number[] = [];
    for (let trial = 0; trial < 4; trial++) {
      fail(rig, 1);
      waits.push(rig.breaker.waitMs);
      await comeBack(rig);
    }
    expect(waits).toEqual([4_000, 8_000, 12_000, 12_000]);
  });
});
