import { describe, expect, it } from 'vitest';
import { BackendTimeoutError, BackendUnavailableError, ModelNotFoundError, QueueFullError } from '../../src/errors.ts';
import type { Route } from '../../src/providers/provider.ts';
import { RetryBudget } from '../../src/providers/retry-budget.ts';
import { withRetry } from '../../src/providers/with-retry.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import { hear, toRequest } from './ollama-rig.ts';
import type { Heard } from './ollama-rig.ts';
import { ScriptedProvider, finished, say } from './scripted-provider.ts';
import type { Attempt } from './scripted-provider.ts';

const gone = new BackendUnavailableError('gone', { transient: true });
const busy = new BackendUnavailableError('busy', { transient: true, leastDelayMs: 2_000 });
const missing = new ModelNotFoundError('missing', { elsewhere: true });
const silent = new BackendTimeoutError('silent', { elsewhere: true });
const good: Attempt = [[say('Hi')], [finished]];

/** Leads to these hosts, one after the other, and stays at the last. */
class ScriptedRoute implements Route {
  readonly #hosts: string[];
  readonly #error: Error | undefined;
  asked = 0;

  constructor(hosts: readonly string[], error?: Error) {
    this.#hosts = [...hosts];
    this.#error = error;
  }

  get host(): string {
    return this.#hosts[0] ?? '';
  }

  async next(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.asked += 1;
    if (this.#error) throw this.#error;
    if (this.#hosts.length > 1) this.#hosts.shift();
  }
}

interface Options {
  readonly attempts: readonly Attempt[];
  readonly route: Route;
  readonly maxRetries?: number;
  readonly hasOtherHost?: (model: string, tried: ReadonlySet<string>) => boolean;
}

const ask = async (options: Options): Promise<Heard & { calls: number; ms: number }> => {
  const { attempts, route, maxRetries = 3, hasOtherHost } = options;
  const clock = new VirtualClock();
  const scripted = new ScriptedProvider(...attempts);
  const policy = { clock, ids: { newId: () => 'id', random: () => 1 }, maxRetries };
  const provider = withRetry(scripted, { ...policy, ...(hasOtherHost && { hasOtherHost }) });
  const begunAt = clock.now();
  const end: { at?: number } = {};
  const heard = hear(provider.stream(toRequest({ route }), new AbortController().signal));
  void heard.then(() => (end.at = clock.now()));
  while (end.at === undefined) await clock.advance(50);
  return { ...(await heard), calls: scripted.calls, ms: end.at - begunAt };
};

describe('a call that has a route', () => {
  it('goes to another host at once, and says so', async () => {
    const heard = await ask({ attempts: [[gone], good], route: new ScriptedRoute(['a', 'b']) });
    expect(heard).toMatchObject({ content: 'Hi', calls: 2, states: ['retrying'] });
    expect(heard.ms).toBeLessThanOrEqual(50);
  });

  it('waits before a host that has failed, be it the same or an earlier one', async () => {
    const stays = await ask({ attempts: [[gone], good], route: new ScriptedRoute(['a']) });
    expect(stays).toMatchObject({ content: 'Hi', calls: 2 });
    expect(stays.ms).toBeGreaterThanOrEqual(250);
    const returns = await ask({ attempts: [[gone], [gone], good], route: new ScriptedRoute(['a', 'b', 'a']) });
    expect(returns.ms).toBeGreaterThanOrEqual(500);
  });

  it('waits for as long as the failure takes to pass only where it stays', async () => {
    const leaves = await ask({ attempts: [[busy], good], route: new ScriptedRoute(['a', 'b']) });
    expect(leaves.ms).toBeLessThanOrEqual(50);
    const stays = await ask({ attempts: [[busy], good], route: new ScriptedRoute(['a']) });
    expect(stays.ms).toBeGreaterThanOrEqual(2_250);
  });

  it.each([missing, silent])('goes elsewhere after what only this host cannot do: %s', async (error) => {
    const heard = await ask({ attempts: [[error], good], route: new ScriptedRoute(['a', 'b']) });
    expect(heard).toMatchObject({ content: 'Hi', calls: 2, states: ['retrying'] });
  });

  it('ends with what only this host cannot do when the route leads nowhere else', async () => {
    const route = new ScriptedRoute(['a']);
    expect(await ask({ attempts: [[missing]], route })).toMatchObject({ calls: 1, error: missing, states: [] });
    expect(route.asked).toBe(1);
  });

  it('does not even ask for another host where there is none', async () => {
    const route = new ScriptedRoute(['a']);
    const seen: string[][] = [];
    const hasOtherHost = (_model: string, tried: ReadonlySet<string>): boolean => {
      seen.push([...tried]);
      return false;
    };
    expect(await ask({ attempts: [[missing]], route, hasOtherHost })).toMatchObject({ calls: 1, error: missing });
    expect(route.asked).toBe(0);
    expect(seen).toEqual([['a']]);
  });

  it('is replaced once when a host is silent', async () => {
    const route = new ScriptedRoute(['a', 'b', 'c']);
    expect(await ask({ attempts: [[silent]], route })).toMatchObject({ calls: 2, error: silent });
  });

  it('goes nowhere once there was output', async () => {
    const route = new ScriptedRoute(['a', 'b']);
    expect(await ask({ attempts: [[[say('Hi')], missing]], route })).toMatchObject({ calls: 1, error: missing });
    expect(route.asked).toBe(0);
  });

  it('ends with its own error when no host has a slot in time', async () => {
    for (const error of [new QueueFullError('full'), new BackendUnavailableError('none there')]) {
      const route = new ScriptedRoute(['a'], error);
      expect(await ask({ attempts: [[gone]], route })).toMatchObject({ calls: 1, error: gone });
    }
  });

  it('tries no more often than allowed, over all hosts', async () => {
    const route = new ScriptedRoute(['a', 'b', 'c', 'd']);
    expect(await ask({ attempts: [[gone]], route, maxRetries: 2 })).toMatchObject({ calls: 3, error: gone });
  });

  it('ends with the signal’s reason when it aborts on the way to another host', async () => {
    const controller = new AbortController();
    const route: Route = {
      host: 'a',
      next: async () => {
        controller.abort('the user left');
        throw new QueueFullError('full');
      },
    };
    const policy = { clock: new VirtualClock(), ids: { newId: () => 'id', random: () => 1 }, maxRetries: 3 };
    const provider = withRetry(new ScriptedProvider([gone]), policy);
    expect((await hear(provider.stream(toRequest({ route }), controller.signal))).error).toBe('the user left');
  });
});

describe('a retry that is not made after all', () => {
  it('is given back to the budget', () => {
    const budget = new RetryBudget(new VirtualClock());
    for (let retry = 0; retry < 10; retry++) budget.take();
    expect(budget.take()).toBe(false);
    budget.giveBack();
    expect(budget.take()).toBe(true);
  });
});
