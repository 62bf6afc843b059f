import { afterEach, describe, expect, it } from 'vitest';
import { HostLimiter } from '../../src/limits/host-limiter.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import { createGate } from '../support/scripted-ollama/scripted-ollama.ts';
import { replayRecording } from '../support/recordings.ts';
import { OllamaRig, hear, toRequest } from './ollama-rig.ts';

const rigs: OllamaRig[] = [];

const open = async (...options: Parameters<typeof OllamaRig.open>): Promise<OllamaRig> => {
  const rig = await OllamaRig.open(...options);
  rigs.push(rig);
  return rig;
};

afterEach(async () => {
  for (const rig of rigs.splice(0)) await rig[Symbol.asyncDispose]();
});

const loadsAsked = ({ ollama }: OllamaRig) =>
  ollama.ledger.requestsTo('/api/chat').filter((entry) => !ollama.ledger.chats.includes(entry));

describe('loading a model', () => {
  it('is asked for before the chat, and told', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock });
    const begunElapsed = clock.elapsed();
    const gate = createGate();
    rig.ollama.nextLoad({ waitFor: gate });
    const heard = rig.ask();
    await gate.reached;
    await clock.advance(40_000);
    gate.open();
    const { parts, states } = await heard;
    expect(states).toStrictEqual(['model_loading', 'generating']);
    expect(parts[0]).toMatchObject({ status: { since: begunElapsed } });
    expect(parts[1]).toMatchObject({ status: { loadMs: 40_000 } });
    expect(rig.ollama.ledger.loadsOf('tiny-chat:latest', 2048)).toBe(1);
  });

  it('is neither asked for nor told when the model is loaded already', async () => {
    const rig = await open();
    await rig.warm();
    const { states } = await rig.ask();
    expect(states).toStrictEqual(['generating']);
    expect(loadsAsked(rig)).toHaveLength(1);
  });

  it('has the same load-time options as the chat, so that the chat loads nothing anew', async () => {
    const rig = await open({ keepAlive: '600' });
    await rig.warm();
    const [load] = loadsAsked(rig);
    const common = { model: 'tiny-chat:latest', keep_alive: 600, shift: false };
    expect(load?.body).toMatchObject({ ...common, messages: [], options: { num_ctx: 2048 } });
    expect(rig.ollama.ledger.chats[0]?.body).toMatchObject({ ...common, options: { num_ctx: 2048 } });
    expect(rig.ollama.ledger.loads).toHaveLength(1);
  });

  it('happens anew for a model that is loaded with another window', async () => {
    const rig = await open();
    await rig.warm({ contextWindow: 1024 });
    const { states } = await rig.ask();
    expect(states).toStrictEqual(['model_loading', 'generating']);
    expect(rig.ollama.ledger.loadsOf('tiny-chat:latest')).toBe(2);
  });

  it('asks for no longer window than the model was trained with, and knows it as loaded then', async () => {
    const rig = await open({ contextWindow: 8192 });
    await rig.warm({ contextWindow: 8192 });
    expect((await rig.ask({ contextWindow: 8192 })).states).toStrictEqual(['generating']);
    expect(rig.ollama.ledger.chats[0]?.body).toMatchObject({ options: { num_ctx: 2048 } });
  });

  it('is shared by all who wait', async () => {
    const rig = await open({ ollama: { parallel: 4 } });
    const gate = createGate();
    rig.ollama.nextLoad({ waitFor: gate });
    const all = [rig.ask(), rig.ask(), rig.ask()];
    await gate.reached;
    const later = rig.ask({ model: 'TINY-CHAT:latest' });
    gate.open();
    for (const { finish } of await Promise.all([...all, later])) expect(finish?.finishReason).toBe('stop');
    expect(loadsAsked(rig)).toHaveLength(1);
  });

  it('goes on when one who waits for it leaves, who learns the reason at once', async () => {
    const rig = await open();
    const gate = createGate();
    const controller = new AbortController();
    const reason = new Error('the user left');
    rig.ollama.nextLoad({ waitFor: gate });
    const leaves = rig.ask({}, controller.signal);
    await gate.reached;
    const stays = rig.ask();
    controller.abort(reason);
    expect((await leaves).error).toBe(reason);
    gate.open();
    expect((await stays).finish?.finishReason).toBe('stop');
    expect(rig.ollama.ledger.abortedLoads).toBe(0);
    expect(loadsAsked(rig)).toHaveLength(1);
  });

  it('goes on when all who wait for it leave', async () => {
    const rig = await open();
    const gate = createGate();
    const controller = new AbortController();
    rig.ollama.nextLoad({ waitFor: gate });
    const leaves = rig.ask({}, controller.signal);
    await gate.reached;
    controller.abort();
    await leaves;
    gate.open();
    await rig.ollama.ledger.until(({ loads }) => loads[0]?.outcome === 'loaded');
    expect((await rig.ask()).states.at(-1)).toBe('generating');
    expect(rig.ollama.ledger.loads).toHaveLength(1);
  });

  it('ends at its limit with backend_timeout, for all who wait', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock, loadTimeoutMs: 300_000 });
    const gate = createGate();
    rig.ollama.nextLoad({ waitFor: gate });
    const waiting = [rig.ask(), rig.ask()];
    await gate.reached;
    await clock.advance(300_200);
    for (const { error } of await Promise.all(waiting)) {
      expect(error).toMatchObject({ code: 'backend_timeout', transient: false });
    }
  });

  it('that fails for want of memory says so and is not tried again', async () => {
    const rig = await open();
    rig.ollama.nextLoad({ error: 'llama runner process has terminated: signal: killed' });
    const { error } = await rig.ask();
    expect(error).toMatchObject({ code: 'backend_unavailable', transient: false });
    expect((await rig.ask()).finish?.finishReason).toBe('stop');
  });

  it('meets a full queue as something that passes', async () => {
    const rig = await open();
    rig.ollama.fail('/api/chat', {
      status: 503,
      error: 'server busy, please try again.  maximum pending requests exceeded',
    });
    expect((await rig.ask()).error).toMatchObject({ code: 'backend_unavailable', transient: true });
  });

  it('is ended when the provider is disposed', async () => {
    const rig = await open();
    const gate = createGate();
    rig.ollama.nextLoad({ waitFor: gate });
    const heard = rig.ask();
    await gate.reached;
    await rig.provider[Symbol.asyncDispose]();
    expect((await heard).error).toMatchObject({ code: 'backend_unavailable' });
    await rig.ollama.ledger.until(({ abortedLoads }) => abortedLoads === 1);
  });
});

describe('a model whose loading is not known', () => {
  it('is chatted with when /api/ps fails, with all the time of a load for the first line', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock, silenceMs: 30_000, loadTimeoutMs: 300_000 });
    const gate = createGate();
    rig.ollama.fail('/api/ps', { status: 500 });
    rig.ollama.nextLoad({ waitFor: gate });
    const heard = rig.ask();
    await gate.reached;
    await clock.advance(200_000);
    gate.open();
    expect(await heard).toMatchObject({ states: ['generating'], finish: { finishReason: 'stop' } });
    expect(loadsAsked(rig)).toHaveLength(0);
  });

  it('is chatted with when /api/ps says nothing for 5 s', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock });
    rig.ollama.hang('/api/ps');
    const heard = rig.ask();
    await rig.ollama.ledger.until(({ entries }) => entries.at(-1)?.path === '/api/ps');
    await clock.advance(5_100);
    expect((await heard).finish?.finishReason).toBe('stop');
  });

  it('may be loading for somebody else: it is waited for although /api/ps shows it', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock });
    const gate = createGate();
    const shown = JSON.stringify({ models: [{ name: 'tiny-chat:latest', context_length: 2048 }] });
    rig.ollama.fail('/api/ps', { status: 200, body: shown, headers: { 'Content-Type': 'application/json' } });
    rig.ollama.nextLoad({ waitFor: gate });
    const heard = rig.ask();
    await gate.reached;
    await clock.advance(100_000);
    gate.open();
    expect(await heard).toMatchObject({ states: ['model_loading', 'generating'], error: undefined });
  });

  it('is loaded again after its runner died, before the next chat', async () => {
    const rig = await open();
    await rig.warm();
    rig.ollama.next({ ...replayRecording('runner-killed'), killsRunner: true });
    expect((await rig.ask()).error).toMatchObject({ code: 'backend_error' });
    const { states, finish } = await hear(rig.provider.stream(toRequest(), new AbortController().signal));
    expect(states).toStrictEqual(['model_loading', 'generating']);
    expect(finish?.finishReason).toBe('stop');
  });
});

describe('a model that Ollama shows although its runner is dead', () => {
  it('is loaded again after the failure, with the time of a load', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock });
    await rig.warm();
    const shown = JSON.stringify({ models: [{ name: 'tiny-chat:latest', context_length: 2048 }] });
    rig.ollama.fail('/api/ps', { status: 200, body: shown, headers: { 'Content-Type': 'application/json' } });
    rig.ollama.next('runner-stopped');
    expect((await rig.ask()).error).toMatchObject({ code: 'backend_unavailable', transient: true });
    const gate = createGate();
    rig.ollama.nextLoad({ waitFor: gate });
    const heard = rig.ask();
    await gate.reached;
    await clock.advance(100_000);
    gate.open();
    expect(await heard).toMatchObject({ states: ['model_loading', 'generating'], error: undefined });
  });
});

describe('the silence of a model', () => {
  it('that is loaded lasts no longer than the limit, up to its first token', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock, silenceMs: 30_000 });
    await rig.warm();
    rig.ollama.next('stall');
    const heard = rig.ask();
    await rig.ollama.ledger.until(({ running }) => running === 1);
    await clock.advance(29_000);
    expect(rig.ollama.ledger.running).toBe(1);
    await clock.advance(1_200);
    expect((await heard).error).toMatchObject({ code: 'backend_timeout', transient: false });
    await rig.ollama.ledger.until(({ running }) => running === 0);
  });

  it('lasts no longer than the limit between two tokens, and what came is kept', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock, silenceMs: 30_000 });
    const [first, second] = [createGate(), createGate()];
    rig.ollama.next([{ say: 'a' }, { waitFor: first }, { say: 'b' }, { waitFor: second }, { done: true }]);
    const heard = rig.ask();
    await first.reached;
    await clock.advance(29_000);
    first.open();
    await second.reached;
    await clock.advance(29_000);
    expect(rig.ollama.ledger.running).toBe(1);
    await clock.advance(1_500);
    expect(await heard).toMatchObject({ content: 'ab', error: { code: 'backend_timeout' } });
  });

  it('is not measured while nobody reads', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock, silenceMs: 30_000 });
    const gate = createGate();
    rig.ollama.next([{ say: 'a' }, { waitFor: gate }, { say: 'b' }, { done: true }]);
    const reader = rig.provider.stream(toRequest(), new AbortController().signal)[Symbol.asyncIterator]();
    for (let read = 0; read < 3; read++) await reader.next(); // loading, generating, a
    await clock.advance(600_000);
    gate.open();
    expect((await hear({ [Symbol.asyncIterator]: () => reader })).content).toBe('b');
  });

  it('that was evicted in between is a load, which has more time', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock, silenceMs: 30_000, loadTimeoutMs: 300_000 });
    await rig.warm();
    const gate = createGate();
    rig.ollama.next({ load: { waitFor: gate }, steps: [{ say: 'late' }, { done: true }] }); // evicted as it arrives
    const heard = rig.ask();
    await gate.reached;
    await clock.advance(200_000);
    gate.open();
    expect(await heard).toMatchObject({ content: 'late', error: undefined });
  });

  it('of one that loads without end ends at the limit of a load', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock, silenceMs: 30_000, loadTimeoutMs: 300_000 });
    await rig.warm();
    const gate = createGate();
    rig.ollama.next({ load: { waitFor: gate }, steps: [] });
    const heard = rig.ask();
    await gate.reached;
    await clock.advance(331_000);
    expect((await heard).error).toMatchObject({
      code: 'backend_timeout',
      message: expect.stringMatching(/300 s.*LLM_LOAD_TIMEOUT/),
    });
  });
});

describe('loads of several models', () => {
  it('go through what runs the chores of the host, one at a time where it says so', async () => {
    using host = new HostLimiter();
    const rig = await open({ runChore: (_host, load) => host.runChore(load) });
    const gate = createGate();
    rig.ollama.nextLoad({ waitFor: gate });
    const first = rig.ask();
    await gate.reached;
    const second = rig.ask({ model: 'tiny-plain' });
    await rig.ollama.ledger.until((ledger) => ledger.requestsTo('/api/show').every(({ status }) => status === 200));
    await rig.ollama.ledger.until((ledger) => ledger.requestsTo('/api/show').length === 2);
    expect(rig.ollama.ledger.loads.map(({ model }) => model)).toEqual(['tiny-chat:latest']);
    gate.open();
    expect([(await first).error, (await second).error]).toEqual([undefined, undefined]);
    expect(rig.ollama.ledger.loads.map(({ model }) => model)).toEqual(['tiny-chat:latest', 'tiny-plain:latest']);
  });
});
