import { describe, expect, it } from 'vitest';
import { BackendError, BackendTimeoutError, BackendUnavailableError } from '../../src/errors.ts';
import { RetryBudget } from '../../src/providers/retry-budget.ts';
import { withRetry } from '../../src/providers/with-retry.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import { hear, toRequest } from './ollama-rig.ts';
import type { Heard } from './ollama-rig.ts';
import { ScriptedProvider, finished, say } from './scripted-provider.ts';
import type { Attempt } from './scripted-provider.ts';

const gone = new BackendUnavailableError('gone', { transient: true });
const loading = { type: 'status', status: { state: 'generating', loadMs: 0 } } as const;
const good: Attempt = [[say('Hi')], [finished]];

interface Options {
  readonly attempts: readonly Attempt[];
  readonly maxRetries?: number;
  readonly random?: number;
  readonly clock?: VirtualClock;
  readonly budget?: RetryBudget;
}

const begin = ({ attempts, maxRetries = 3, random = 1, clock = new VirtualClock(), budget }: Options) => {
  const scripted = new ScriptedProvider(...attempts);
  const ids = { newId: () => 'id', random: () => random };
  const provider = withRetry(scripted, { clock, ids, maxRetries, ...(budget ? { budget } : {}) });
  const controller = new AbortController();
  const heard = hear(provider.stream(toRequest(), controller.signal));
  return { scripted, provider, clock, controller, heard };
};

/** With all the time that retries can take. */
const ask = async (options: Options): Promise<Heard & { calls: number }> => {
  const { scripted, clock, heard } = begin(options);
  await clock.advance(60_000);
  return { ...(await heard), calls: scripted.calls };
};

/** How many retries there are to take. */
const takeAll = (budget: RetryBudget): number => {
  let taken = 0;
  while (taken < 1_000 && budget.take()) taken++;
  return taken;
};

describe('withRetry', () => {
  it('tries again what can pass by itself, and says so before each wait', async () => {
    const { content, parts, calls } = await ask({ attempts: [[gone], [gone], good] });
    expect(content).toBe('Hi');
    expect(calls).toBe(3);
    expect(parts.filter(({ type }) => type === 'status')).toMatchObject([
      { status: { state: 'retrying', attempt: 1 } },
      { status: { state: 'retrying', attempt: 2 } },
    ]);
  });

  it('tries no more often than allowed, after the first attempt', async () => {
    const { error, calls } = await ask({ attempts: [[gone]], maxRetries: 2 });
    expect(error).toBe(gone);
    expect(calls).toBe(3);
    expect((await ask({ attempts: [[gone]], maxRetries: 0 })).calls).toBe(1);
  });

  it('tries nothing again once there was output, thinking included', async () => {
    const thought = { type: 'text-delta', channel: 'thinking', text: 'hm' } as const;
    for (const part of [say('Hi'), thought]) {
      expect(await ask({ attempts: [[[part], gone]] })).toMatchObject({ calls: 1, error: gone });
    }
  });

  it('tries again after a status alone', async () => {
    expect(await ask({ attempts: [[[loading], gone], good] })).toMatchObject({ calls: 2, content: 'Hi' });
  });

  it.each([new BackendError('broken'), new BackendTimeoutError('silent'), new TypeError('a mistake')])(
    'does not try again after %s',
    async (error) => {
      expect(await ask({ attempts: [[error]] })).toMatchObject({ calls: 1, error });
    },
  );

  it('waits up to 250 ms, then up to twice as long each time, up to 8 s', async () => {
    const { scripted, clock, heard } = begin({ attempts: [[gone]], maxRetries: 7 });
    const waits: number[] = [];
    for (let call = 1; call <= 7; call++) {
      const begunAt = clock.now();
      while (scripted.calls === call) await clock.advance(50);
      waits.push(clock.now() - begunAt);
    }
    expect(waits).toStrictEqual([250, 500, 1_000, 2_000, 4_000, 8_000, 8_000]);
    await heard;
  });

  it('waits not at all when chance has it so', async () => {
    const { scripted, clock, heard } = begin({ attempts: [[gone], good], random: 0 });
    await clock.advance(0);
    expect((await heard).content).toBe('Hi');
    expect(scripted.calls).toBe(2);
  });

  it('waits for as long as the failure takes to pass, and by chance a little longer', async () => {
    const busy = new BackendUnavailableError('busy', { transient: true, leastDelayMs: 1_000 });
    for (const [random, waitMs] of [
      [0, 1_000],
      [1, 1_250],
    ] as const) {
      const { scripted, clock, heard } = begin({ attempts: [[busy], good], random });
      await clock.advance(waitMs - 1);
      expect(scripted.calls).toBe(1);
      await clock.advance(1);
      expect((await heard).content).toBe('Hi');
    }
  });

  it('ends the wait at once when the signal aborts, with its reason', async () => {
    const { scripted, clock, controller, heard } = begin({ attempts: [[gone]] });
    await clock.settle();
    controller.abort('the user left');
    expect((await heard).error).toBe('the user left');
    expect(scripted.calls).toBe(1);
  });

  it('begins no wait when the signal had aborted before the failure', async () => {
    const scripted = new ScriptedProvider([[loading], gone]);
    const ids = { newId: () => 'id', random: () => 1 };
    const provider = withRetry(scripted, { clock: new VirtualClock(), ids, maxRetries: 3 });
    const controller = new AbortController();
    const reader = provider.stream(toRequest(), controller.signal)[Symbol.asyncIterator]();
    await reader.next();
    controller.abort('the user left');
    await expect(reader.next()).rejects.toBe('the user left');
  });

  it('stops trying when the budget is used up', async () => {
    const clock = new VirtualClock();
    const budget = new RetryBudget(clock);
    for (let retry = 0; retry < 9; retry++) budget.take();
    expect(await ask({ attempts: [[gone]], clock, budget })).toMatchObject({ calls: 2, error: gone });
  });

  it('passes everything else on', async () => {
    const { provider } = begin({ attempts: [good] });
    expect(provider.name).toBe('scripted');
    expect((await provider.findModel('a')).name).toBe('a');
    expect(await provider.listModels()).toHaveLength(1);
    expect(await provider.health()).toStrictEqual({ status: 'up' });
  });
});

describe('RetryBudget', () => {
  it('allows ten retries a minute when little is asked', () => {
    expect(takeAll(new RetryBudget(new VirtualClock()))).toBe(10);
  });

  it('allows a tenth of the requests when much is asked', () => {
    const budget = new RetryBudget(new VirtualClock());
    for (let request = 0; request < 305; request++) budget.countRequest();
    expect(takeAll(budget)).toBe(30);
  });

  it('looks at the last minute only', async () => {
    const clock = new VirtualClock();
    const budget = new RetryBudget(clock);
    for (let request = 0; request < 300; request++) budget.countRequest();
    expect(takeAll(budget)).toBe(30);
    await clock.advance(30_000);
    expect(takeAll(budget)).toBe(0);
    await clock.advance(31_000);
    expect(takeAll(budget)).toBe(10);
  });
});
