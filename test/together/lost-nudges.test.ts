import { describe, expect, it } from 'vitest';
import { hasRedisServer } from '../support/redis-server.ts';
import { createGate, type Gate, type Step } from '../support/scripted-ollama/scripted-ollama.ts';
import type { Frame } from '../support/socket-client.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { begin, checkWatch, framesOf, Instances } from './instances.ts';

/** A second between two looks at the log, and a little for the way. */
const STEP_MS = 1_200;
const TERMINAL_MS = 2_000;

describe.skipIf(!hasRedisServer)('nudges that are lost (AT-12)', () => {
  it('all of them: the other instance goes on in steps, and has the end in time', async () => {
    await using network = new AsyncDisposableStack();
    const proxies: TcpProxy[] = [];
    await using instances = await Instances.start({
      toRedisUrl: async ({ port }) => {
        const proxy = network.use(await startTcpProxy(port));
        proxies.push(proxy);
        return proxy.url;
      },
    });
    const gates = [createGate(), createGate(), createGate()];
    instances.ollama.next(toGatedSteps(gates));
    const here = await instances.at(0).connect();
    const there = await instances.at(1).connect();
    for (const proxy of proxies) proxy.loseNudges();
    const messageId = await begin(here, 'Count!');
    there.send('llm_resume', { message_id: messageId, seq: 0 });
    for (const [index, gate] of gates.entries()) {
      await gate.reached;
      const saidAt = performance.now();
      gate.open();
      const isSaid = ({ data }: Frame): boolean => String(data['text']).endsWith(String(index));
      await here.waitFor(isSaid);
      await there.waitFor(isSaid);
      expect(performance.now() - saidAt).toBeLessThan(STEP_MS);
    }
    await here.waitForEnd();
    const endedAt = performance.now();
    await there.waitForEnd();
    expect(performance.now() - endedAt).toBeLessThan(TERMINAL_MS);
    expect(checkWatch(framesOf(there.frames, messageId))).toBe('Go 0 1 2');
    expect(proxies.reduce((sum, { lostNudges }) => sum + lostNudges, 0)).toBeGreaterThanOrEqual(gates.length);
  });

  it('with the connection that hears them: it is made anew, and what was missed meanwhile is read', async () => {
    await using instances = await Instances.start();
    const gate = createGate();
    instances.ollama.next(toGatedSteps([gate]));
    const here = await instances.at(0).connect();
    const there = await instances.at(1).connect();
    const messageId = await begin(here, 'Count!');
    there.send('llm_resume', { message_id: messageId, seq: 0 });
    await there.waitFor(({ data }) => data['text'] === 'Go');
    await instances.redis.admin.client('KILL', 'TYPE', 'PUBSUB');
    gate.open();
    await there.waitForEnd();
    expect(checkWatch(framesOf(there.frames, messageId))).toBe('Go 0');
  });
});

/** A word behind each gate. */
const toGatedSteps = (gates: readonly Gate[]): readonly Step[] => [
  { say: 'Go' },
  ...gates.flatMap((waitFor, index) => [{ waitFor }, { say: ` ${index}` }]),
  { done: true },
];
