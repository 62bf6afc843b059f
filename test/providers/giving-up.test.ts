import { afterEach, describe, expect, it } from 'vitest';
import { BackendTimeoutError } from '../../src/errors.ts';
import type { Readiness } from '../../src/providers/ollama/model-loader.ts';
import { createGate } from '../support/scripted-ollama/scripted-ollama.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import { HostChatsRig } from './host-chats-rig.ts';
import type { Question } from './host-chats-rig.ts';
import { OllamaRig, readToFirstDelta, toRequest } from './ollama-rig.ts';
import type { Heard } from './ollama-rig.ts';

const rigs: HostChatsRig[] = [];
const clock = new VirtualClock();

const open = async (options: Parameters<typeof HostChatsRig.open>[0] = {}): Promise<HostChatsRig> => {
  const rig = await HostChatsRig.open({ clock, silenceMs: 30_000, ...options });
  rigs.push(rig);
  return rig;
};

afterEach(async () => {
  for (const rig of rigs.splice(0)) await rig[Symbol.asyncDispose]();
});

/** Of 310 characters: 100 tokens, by the estimate. */
const prompt: Question = { messages: [{ role: 'user', content: 'x'.repeat(310) }] };
/** The whole prompt then takes ten seconds. */
const measure = async (rig: HostChatsRig): Promise<void> => {
  const figures = { prompt_eval_count: 50, prompt_eval_duration: 5_000_000_000 };
  rig.ollama.next([{ say: 'ok' }, { done: { extra: figures } }]);
  expect((await rig.ask()).error).toBeUndefined();
};

interface Leaving {
  readonly ended: Promise<Heard>;
  readonly isOver: () => boolean;
}

/** Asks, and leaves before the first byte when so much time has passed. */
const leave = async (rig: HostChatsRig, afterMs: number, readiness: Readiness = 'ready'): Promise<Leaving> => {
  const controller = new AbortController();
  let isOver = false;
  rig.ollama.next('stall');
  const ended = rig.ask({ ...prompt, readiness }, controller.signal).finally(() => (isOver = true));
  await rig.ollama.ledger.until(({ running }) => running === 1);
  await clock.advance(afterMs);
  controller.abort('left');
  await rig.ollama.ledger.until(({ chats }) => chats.at(-1)?.outcome === 'left');
  await clock.settle();
  return { ended, isOver: () => isOver };
};

describe('a chat that is left before its first byte', () => {
  it('ends when its prompt must have been read, by what was measured', async () => {
    const rig = await open();
    await measure(rig);
    const { ended, isOver } = await leave(rig, 4_000);
    await clock.advance(5_900);
    expect(isOver()).toBe(false);
    await clock.advance(200);
    expect((await ended).error).toBe('left');
  });

  it('ends at once when its prompt must have been read before', async () => {
    const rig = await open();
    await measure(rig);
    const { ended } = await leave(rig, 12_000);
    expect((await ended).error).toBe('left');
  });

  it('ends at once where nothing was measured', async () => {
    const rig = await open();
    const { ended } = await leave(rig, 0);
    expect((await ended).error).toBe('left');
  });

  it('ends at once where the model may have been loading, since that ends with its request', async () => {
    const rig = await open();
    await measure(rig);
    const { ended } = await leave(rig, 0, 'unknown');
    expect((await ended).error).toBe('left');
  });

  it('ends at once where the model was loaded anew', async () => {
    const rig = await open({ loadTimeoutMs: 300_000 });
    await measure(rig);
    rig.ollama.crashRunner('continues');
    const gate = createGate();
    rig.ollama.nextLoad({ waitFor: gate });
    const controller = new AbortController();
    const heard = rig.ask({ ...prompt, messages: [{ role: 'user', content: 'x'.repeat(31_000) }] }, controller.signal);
    await rig.ollama.ledger.until(({ loads }) => loads.at(-1)?.outcome === 'loading');
    await clock.advance(30_100); // it is late, so it is asked whether the model is loading
    await rig.ollama.ledger.until((ledger) => ledger.requestsTo('/api/ps').at(-1)?.outcome === 'answered');
    await clock.settle();
    controller.abort('left');
    expect((await heard).error).toBe('left');
  });

  it('ends when the service closes', async () => {
    const rig = await open();
    await measure(rig);
    const { ended, isOver } = await leave(rig, 0);
    expect(isOver()).toBe(false);
    rig.chats[Symbol.dispose]();
    expect((await ended).error).toBe('left');
  });

  it('ends at once when its first byte has come', async () => {
    const rig = await open();
    await measure(rig);
    const controller = new AbortController();
    rig.ollama.next('stall:1');
    const reader = rig.stream(prompt, controller.signal);
    await readToFirstDelta(reader);
    controller.abort('left');
    await expect(reader.next()).rejects.toBe('left');
  });

  it('is not even sent when it is left before it is read', async () => {
    const rig = await open();
    await measure(rig);
    expect((await rig.ask(prompt, AbortSignal.abort('gone'))).error).toBe('gone');
    expect(rig.ollama.ledger.chats).toHaveLength(1);
  });
});

/** Leaves a slot taken for good: the request leaves after its first token. */
const leakSlot = async (rig: HostChatsRig): Promise<void> => {
  const controller = new AbortController();
  rig.ollama.next('leak:1');
  const reader = rig.stream({}, controller.signal);
  await readToFirstDelta(reader);
  controller.abort('left');
  await expect(reader.next()).rejects.toBe('left');
  await rig.ollama.ledger.until(({ chats }) => chats.at(-1)?.outcome === 'left');
};

const unloads = (rig: HostChatsRig): number => rig.bodies.filter((body) => body['keep_alive'] === 0).length;

describe('a model that is loaded and does not begin to answer', () => {
  it('is unloaded, so that the next request is answered', async () => {
    const rig = await open();
    await leakSlot(rig);
    const silent = rig.ask();
    await rig.ollama.ledger.until(({ chats }) => chats.length === 2);
    await clock.advance(30_100);
    expect((await silent).error).toBeInstanceOf(BackendTimeoutError);
    expect(rig.ollama.ledger.unloads).toStrictEqual(['continues:latest']);
    expect(rig.warnings).toStrictEqual(['a model that did not answer is unloaded']);
    expect(rig.bodies.at(-1)).toMatchObject({ model: 'continues:latest', messages: [], keep_alive: 0 });
    expect(await rig.ask()).toMatchObject({ error: undefined, finish: { finishReason: 'stop' } });
    expect(rig.ollama.ledger.loads).toHaveLength(2);
  });

  it('is loaded again by the provider for the next request', async () => {
    await using rig = await OllamaRig.open({ clock });
    const controller = new AbortController();
    rig.ollama.next('leak:1');
    const reader = rig.provider.stream(toRequest(), controller.signal)[Symbol.asyncIterator]();
    await readToFirstDelta(reader);
    controller.abort('left');
    await expect(reader.next()).rejects.toBe('left');
    await rig.ollama.ledger.until(({ chats }) => chats.at(-1)?.outcome === 'left');
    const silent = rig.ask();
    await rig.ollama.ledger.until(({ chats }) => chats.length === 2);
    await clock.advance(30_100);
    expect((await silent).error).toBeInstanceOf(BackendTimeoutError);
    expect(await rig.ask()).toMatchObject({ error: undefined, finish: { finishReason: 'stop' } });
    expect(rig.ollama.ledger.loadsOf('tiny-chat:latest')).toBe(2);
  });

  it('is left alone while it answers another', async () => {
    const rig = await open({ ollama: { parallel: 2 } });
    const gate = createGate();
    rig.ollama.next([{ say: 'a' }, { waitFor: gate }, { done: true }]);
    const controller = new AbortController();
    const other = rig.ask({}, controller.signal);
    await rig.ollama.ledger.until(({ chats }) => chats[0]?.tokens === 1);
    await clock.advance(20_000);
    rig.ollama.next('stall');
    const silent = rig.ask();
    await rig.ollama.ledger.until(({ running }) => running === 2);
    await clock.advance(9_000);
    gate.open();
    expect((await other).content).toBe('a');
    await clock.advance(10_000);
    rig.ollama.next([{ waitFor: createGate() }]);
    const another = rig.ask({}, controller.signal);
    await rig.ollama.ledger.until(({ chats }) => chats.length === 3);
    await clock.advance(11_100);
    expect((await silent).error).toBeInstanceOf(BackendTimeoutError);
    expect(unloads(rig)).toBe(0);
    controller.abort('left');
    await another;
  });

  it('is unloaded once when all who asked it meet the silence at once', async () => {
    const rig = await open();
    await leakSlot(rig);
    const silent = [rig.ask(), rig.ask(), rig.ask()];
    await rig.ollama.ledger.until(({ chats }) => chats.length === 4);
    await clock.advance(30_100);
    for (const each of silent) expect((await each).error).toBeInstanceOf(BackendTimeoutError);
    expect(unloads(rig)).toBe(1);
    expect(rig.warnings).toHaveLength(1);
  });

  it.each(['unknown', 'ready'] as const)(
    'is left alone when it is not shown as loaded (%s before)',
    async (readiness) => {
      const rig = await open({ loadTimeoutMs: 60_000 });
      rig.ollama.hang('/api/chat');
      const silent = rig.ask({ readiness });
      await rig.ollama.ledger.until(({ entries }) => entries.length === 1);
      await clock.advance(30_100);
      const looks = readiness === 'ready' ? 1 : 0;
      await rig.ollama.ledger.until(
        (ledger) => ledger.requestsTo('/api/ps').filter(({ outcome }) => outcome === 'answered').length === looks,
      );
      await clock.advance(60_100);
      expect((await silent).error).toBeInstanceOf(BackendTimeoutError);
      expect(rig.ollama.ledger.requestsTo('/api/chat')).toHaveLength(1);
    },
  );

  it('is left alone when it was silent in the middle of its answer', async () => {
    const rig = await open();
    rig.ollama.next('stall:1');
    const reader = rig.stream();
    await readToFirstDelta(reader);
    const silent = reader.next().catch((error: unknown) => error);
    await clock.advance(30_100);
    expect(await silent).toBeInstanceOf(BackendTimeoutError);
    expect(unloads(rig)).toBe(0);
  });

  it('is given five seconds for it, and then up', async () => {
    const rig = await open();
    await rig.ask();
    rig.ollama.hang('/api/chat');
    const silent = rig.ask();
    await rig.ollama.ledger.until((ledger) => ledger.requestsTo('/api/chat').length === 2);
    await clock.advance(30_100);
    await rig.ollama.ledger.until((ledger) => ledger.requestsTo('/api/chat').length === 3);
    await clock.advance(5_100);
    expect((await silent).error).toBeInstanceOf(BackendTimeoutError);
    expect(rig.warnings).toStrictEqual([
      'a model that did not answer is unloaded',
      'a model that did not answer is not unloaded',
    ]);
  });

  it('is not waited for by a caller who leaves', async () => {
    const rig = await open();
    await rig.ask();
    rig.ollama.hang('/api/chat');
    const controller = new AbortController();
    const silent = rig.ask({}, controller.signal);
    await rig.ollama.ledger.until((ledger) => ledger.requestsTo('/api/chat').length === 2);
    await clock.advance(30_100);
    await rig.ollama.ledger.until((ledger) => ledger.requestsTo('/api/chat').length === 3);
    controller.abort('left');
    expect((await silent).error).toBe('left');
  });
});
