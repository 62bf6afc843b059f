import { afterEach, describe, expect, it } from 'vitest';
import { Deadlines } from '../../src/deadlines.ts';
import { OllamaProvider } from '../../src/providers/ollama/ollama-provider.ts';
import type { OllamaOptions } from '../../src/providers/ollama/ollama-provider.ts';
import type { ProviderRequest } from '../../src/providers/provider.ts';
import { withRetry } from '../../src/providers/with-retry.ts';
import { systemClock, systemIds } from '../../src/system.ts';
import { createGate, ScriptedOllama } from '../support/scripted-ollama/scripted-ollama.ts';
import type { ScriptedOllamaOptions } from '../support/scripted-ollama/scripted-ollama.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import { hear, toRequest } from './ollama-rig.ts';
import type { Heard } from './ollama-rig.ts';

interface Options extends Partial<OllamaOptions> {
  readonly ollamas?: readonly ScriptedOllamaOptions[];
}

/** A provider before several scripted Ollamas: two by default. */
class HostsRig implements AsyncDisposable {
  readonly provider: OllamaProvider;
  readonly ollamas: readonly ScriptedOllama[];
  /** Sentences of the log. */
  readonly log: string[] = [];
  readonly #deadlines: Deadlines;

  constructor(ollamas: readonly ScriptedOllama[], { clock = systemClock, ...options }: Partial<OllamaOptions>) {
    this.ollamas = ollamas;
    this.#deadlines = new Deadlines(clock);
    const write = (_fields: object, sentence: string): void => void this.log.push(sentence);
    this.provider = new OllamaProvider({
      baseUrls: ollamas.map(({ url }) => url),
      contextWindow: 2048,
      keepAlive: '30m',
      silenceMs: 30_000,
      loadTimeoutMs: 300_000,
      log: { info: write, warn: write },
      ids: systemIds,
      ...options,
      clock,
      deadlines: this.#deadlines,
    });
  }

  /** The first and the second. */
  get both(): readonly [ScriptedOllama, ScriptedOllama] {
    const [first, second] = this.ollamas;
    if (!first || !second) throw new Error('there are no two hosts');
    return [first, second];
  }

  get states(): readonly string[] {
    return this.provider.view('tiny-chat').map(({ state }) => state);
  }

  ask(request: Partial<ProviderRequest> = {}): Promise<Heard> {
    return hear(this.provider.stream(toRequest(request), new AbortController().signal));
  }

  /** At that host, and nowhere else. */
  askAt({ url }: ScriptedOllama, request: Partial<ProviderRequest> = {}): Promise<Heard> {
    return this.ask({ ...request, route: { host: url, next: () => Promise.resolve() } });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.provider[Symbol.asyncDispose]();
    this.#deadlines[Symbol.dispose]();
    for (const ollama of this.ollamas) await ollama.stop();
  }
}

const rigs: HostsRig[] = [];

const open = async ({ ollamas = [{}, {}], ...options }: Options = {}): Promise<HostsRig> => {
  const rig = new HostsRig(await Promise.all(ollamas.map((each) => ScriptedOllama.start(each))), options);
  rigs.push(rig);
  return rig;
};

afterEach(async () => {
  for (const rig of rigs.splice(0)) await rig[Symbol.asyncDispose]();
});

/** Time goes on until it is so; the sockets, which have their own time, get theirs. */
const advanceUntil = async (clock: VirtualClock, isSo: () => boolean, stepMs = 100): Promise<void> => {
  for (let step = 0; !isSo(); step++) {
    if (step === 5_000) throw new Error('it has not come to it');
    await clock.advance(stepMs);
  }
};

describe('what is known of several hosts', () => {
  it('is one entry for a model, with all hosts that have it', async () => {
    const rig = await open({ ollamas: [{ models: [{ name: 'other' }] }, {}, {}] });
    await rig.provider.findModel('tiny-chat');
    const third = rig.ollamas[2];
    if (third) await rig.askAt(third);
    const models = await rig.provider.listModels();
    expect(models.map(({ name }) => name)).toEqual([
      'other:latest',
      'tiny-chat:latest',
      'tiny-plain:latest',
      'tiny-vision:latest',
    ]);
    expect(models[1]).toMatchObject({
      host: third?.url,
      hosts: [
        { host: rig.both[1].url, loaded: false },
        { host: third?.url, loaded: true },
      ],
      loaded: true,
    });
  });

  it('is asked for at most every two seconds, however much is asked', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock });
    await rig.provider.findModel('tiny-chat');
    for (const ollama of rig.ollamas) await rig.askAt(ollama);
    const count = (path: string) => rig.both.map(({ ledger }) => ledger.requestsTo(path).length);
    const before = [count('/api/tags'), count('/api/ps')];
    for (let reply = 0; reply < 64; reply++) {
      await rig.provider.findModel('tiny-chat');
      await rig.ask();
      await clock.advance(31);
    }
    const after = [count('/api/tags'), count('/api/ps')];
    for (const [index, counts] of after.entries())
      for (const [host, times] of counts.entries()) expect(times - (before[index]?.[host] ?? 0)).toBeLessThanOrEqual(2);
  });

  it('does not wait for a host that says nothing when another has the model', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock });
    rig.both[0].hang('/api/tags');
    let found: unknown;
    void rig.provider.findModel('tiny-chat').then((info) => (found = info));
    await rig.both[1].ledger.until((ledger) => ledger.requestsTo('/api/ps').length === 1);
    await clock.advance(200);
    expect(found).toBeUndefined();
    await advanceUntil(clock, () => found !== undefined);
    expect(found).toMatchObject({ host: rig.both[1].url });
  });

  it('waits for a host that takes its time when no other has the model', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock, ollamas: [{}, { models: [] }] });
    rig.both[0].hang('/api/tags');
    const found = rig.provider.findModel('tiny-chat');
    await rig.both[0].ledger.until((ledger) => ledger.requestsTo('/api/tags').length === 1);
    await clock.advance(4_000);
    rig.both[0].heal();
    expect(await found).toMatchObject({ host: rig.both[0].url });
  });

  it('names a host by its place where its address is not to be shown', async () => {
    const rig = await open({ isAddressShown: false });
    rig.both[0].removeModel('tiny-plain');
    await rig.provider.findModel('tiny-plain');
    const { error } = await rig.askAt(rig.both[0], { model: 'tiny-plain' });
    expect(String(error)).toContain('at host 1 of OLLAMA_BASE_URL');
    for (const { port } of rig.ollamas) expect(String(error)).not.toContain(String(port));
  });
});

describe('a host that is lost', () => {
  it('is away at once, is asked by the service whether it is back, and is there again at once then', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock });
    await rig.provider.findModel('tiny-chat');
    await lose(rig);
    expect(rig.states).toEqual(['away', 'up']);
    let changes = 0;
    using _listening = rig.provider.onChange(() => void (changes += 1));
    await rig.both[0].restart();
    await clock.advance(1_900);
    expect(changes).toBe(0);
    await advanceUntil(clock, () => changes > 0);
    expect(rig.states).toEqual(['up', 'up']);
    expect(rig.log).toEqual(['a host is not asked until it is back', 'a host is back']);
  });

  it('is not asked for anything else while it is away', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock });
    await rig.provider.findModel('tiny-chat');
    for (let failure = 0; failure < 5; failure++) {
      rig.both[0].next('runner-stopped');
      await rig.askAt(rig.both[0]);
    }
    expect(rig.states[0]).toBe('away');
    await clock.advance(1_900);
    const before = rig.both[0].ledger.entries.length;
    await rig.provider.findModel('tiny-chat');
    await rig.provider.listModels();
    await rig.provider.health();
    expect((await rig.askAt(rig.both[0])).error).toMatchObject({ retryAfterMs: 1_000, transient: true });
    expect(rig.both[0].ledger.entries).toHaveLength(before);
  });

  it('that failed gets one reply as a trial, whose end decides', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock });
    await rig.provider.findModel('tiny-chat');
    const [first] = rig.both;
    const failOnce = async (): Promise<void> => {
      first.next('runner-stopped');
      await rig.askAt(first);
    };
    for (let failure = 0; failure < 5; failure++) await failOnce();
    await advanceUntil(clock, () => rig.states[0] === 'trial');
    await failOnce();
    expect(rig.states[0]).toBe('away');
    await advanceUntil(clock, () => rig.states[0] === 'trial');
    expect((await rig.askAt(first)).finish).toBeDefined();
    expect(rig.states[0]).toBe('up');
  });

  it('is asked at most six times a minute, and only when somebody wants it after ten minutes', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock });
    const [first] = rig.both;
    await rig.provider.findModel('tiny-chat');
    first.fail('/api/version', { status: 500 });
    await lose(rig);
    await first.restart();
    const probes = () => first.ledger.requestsTo('/api/version').length;
    for (let minute = 0; minute < 10; minute++) {
      const before = probes();
      await advanceMinute(clock);
      expect(probes() - before).toBeLessThanOrEqual(6);
    }
    await advanceMinute(clock);
    const before = probes();
    expect(before).toBeGreaterThan(20);
    await advanceMinute(clock);
    expect(probes()).toBe(before);
    first.heal();
    await rig.provider.findModel('tiny-chat');
    expect(rig.states[0]).toBe('up');
  });

  it('is not lost where a proxy lets its version not through', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock });
    for (const path of ['/api/version', '/api/ps']) rig.both[0].fail(path, { status: 404 });
    expect((await rig.provider.health()).hosts?.[0]).toMatchObject({ status: 'up', version: 'unknown' });
    expect((await rig.askAt(rig.both[0])).finish).toBeDefined();
    expect(rig.states).toEqual(['up', 'up']);
    await lose(rig);
    await rig.both[0].restart();
    await advanceUntil(clock, () => rig.states[0] === 'up');
  });

  it('that had gone, and is back, answers at once who has no other, however long it was away', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock, ollamas: [{}, { models: [] }] });
    await rig.provider.findModel('tiny-chat');
    await lose(rig);
    await advanceMinute(clock);
    await clock.advance(4_000);
    await rig.both[0].restart();
    expect(await rig.provider.findModel('tiny-chat')).toMatchObject({ name: 'tiny-chat:latest' });
    expect(rig.states[0]).toBe('up');
  });

  it('is asked at once where somebody seeks it, and only when it had gone', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock });
    const [first, second] = rig.both;
    await rig.provider.findModel('tiny-chat');
    await lose(rig);
    for (let failure = 0; failure < 5; failure++) {
      second.next('runner-stopped');
      await rig.askAt(second);
    }
    expect(rig.states).toEqual(['away', 'away']);
    await advanceMinute(clock);
    await advanceUntil(clock, () => rig.states[1] === 'trial');
    const probes = second.ledger.requestsTo('/api/version').length;
    await first.restart();
    rig.provider.seek('tiny-chat');
    rig.provider.seek('tiny-chat');
    await first.ledger.until((ledger) => ledger.requestsTo('/api/version').length > 0);
    await advanceUntil(clock, () => rig.states[0] === 'up', 10);
    expect(first.ledger.requestsTo('/api/version')).toHaveLength(1);
    expect(second.ledger.requestsTo('/api/version')).toHaveLength(probes);
  });

  it('is asked once a second at most by those who have no other, and no later for that by the service', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock, ollamas: [{}, { models: [] }] });
    const [first] = rig.both;
    await rig.provider.findModel('tiny-chat');
    first.fail('/api/version', { status: 500 });
    await lose(rig);
    await first.restart();
    await advanceMinute(clock);
    const probes = () => first.ledger.requestsTo('/api/version').length;
    const before = probes();
    for (let step = 0; step < 120; step++) {
      await rig.provider.findModel('tiny-chat').catch(() => undefined);
      await clock.advance(100);
    }
    expect(probes() - before).toBeGreaterThan(6);
    expect(probes() - before).toBeLessThanOrEqual(14);
    first.heal();
    await advanceUntil(clock, () => rig.states[0] === 'up');
  });

  it('is believed in for a minute where no other has the model; then the wait is told', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock, ollamas: [{}, { models: [] }] });
    await rig.provider.findModel('tiny-chat');
    await lose(rig);
    expect(await rig.provider.findModel('tiny-chat')).toMatchObject({ loaded: false });
    await clock.advance(61_000);
    const refused = await rig.provider.findModel('tiny-chat').catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'backend_unavailable', retryAfterMs: expect.any(Number) });
    expect((refused as { retryAfterMs: number }).retryAfterMs).toBeLessThanOrEqual(12_000);
  });
});

/** The first host is killed: a connection that was open breaks, and another one is refused. */
const lose = async (rig: HostsRig): Promise<void> => {
  const [first] = rig.both;
  await first.kill();
  for (const _connection of ['the open one', 'a new one']) {
    const { error } = await rig.askAt(first);
    expect(error).toMatchObject({ code: 'backend_unavailable', transient: true });
  }
};

const advanceMinute = async (clock: VirtualClock): Promise<void> => {
  for (let second = 0; second < 60; second++) await clock.advance(1_000);
};

describe('a host that was silent', () => {
  it('is suspect for a minute', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock, silenceMs: 30_000 });
    const [first] = rig.both;
    await rig.provider.findModel('tiny-chat');
    await rig.askAt(first);
    first.next('stall');
    const heard = rig.askAt(first);
    await first.ledger.until(({ running }) => running === 1);
    await clock.advance(30_200);
    expect((await heard).error).toMatchObject({ code: 'backend_timeout', elsewhere: true, transient: false });
    expect(rig.states).toEqual(['suspect', 'up']);
    await clock.advance(60_000);
    expect(rig.states).toEqual(['up', 'up']);
  });

  it('to every question is not waited for as long as a load may take', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock, silenceMs: 30_000, loadTimeoutMs: 300_000 });
    const [first] = rig.both;
    await rig.provider.findModel('tiny-chat');
    await rig.askAt(first);
    const { length: chats } = first.ledger.requestsTo('/api/chat');
    first.hang(CHAT);
    let heard: Heard | undefined;
    void rig.askAt(first).then((all) => (heard = all));
    await first.ledger.until((ledger) => ledger.requestsTo('/api/chat').length > chats);
    for (const path of QUESTIONS) first.hang(path);
    const askedAt = clock.now();
    await advanceUntil(clock, () => heard !== undefined);
    expect(clock.now() - askedAt).toBeLessThanOrEqual(40_000);
    expect(heard?.error).toMatchObject({ code: 'backend_timeout', elsewhere: true });
    expect(rig.states).toEqual(['away', 'up']);
    expect(first.ledger.requestsTo('/api/chat')).toHaveLength(chats + 1);
  });

  it('to every question is not asked for a reply', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock });
    const [first] = rig.both;
    await rig.provider.findModel('tiny-chat');
    await rig.askAt(first);
    await clock.advance(3_000);
    const { length: chats } = first.ledger.requestsTo('/api/chat');
    for (const path of [CHAT, ...QUESTIONS]) first.hang(path);
    let heard: Heard | undefined;
    void rig.askAt(first).then((all) => (heard = all));
    const askedAt = clock.now();
    await advanceUntil(clock, () => heard !== undefined);
    expect(clock.now() - askedAt).toBeLessThanOrEqual(10_000);
    expect(heard?.error).toMatchObject({ code: 'backend_unavailable', transient: true });
    expect(rig.states).toEqual(['away', 'up']);
    expect(first.ledger.requestsTo('/api/chat')).toHaveLength(chats);
  });

  it('when it is asked what is loaded, and not to all else, has the time of a load', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock });
    const [first] = rig.both;
    await rig.provider.findModel('tiny-chat');
    await rig.askAt(first);
    await clock.advance(3_000);
    first.hang('/api/ps');
    const answered = createGate();
    first.next([{ waitFor: answered }, { say: 'late' }, { done: true }]);
    const { length: chats } = first.ledger.requestsTo('/api/chat');
    let heard: Heard | undefined;
    void rig.askAt(first).then((all) => (heard = all));
    await advanceUntil(clock, () => first.ledger.requestsTo('/api/chat').length > chats);
    await clock.advance(120_000);
    expect(heard).toBeUndefined();
    answered.open();
    await advanceUntil(clock, () => heard !== undefined);
    expect(heard?.content).toBe('late');
  });
});

const CHAT = '/api/chat';
const QUESTIONS = ['/api/ps', '/api/show', '/api/tags', '/api/version'];

describe('a model on a host', () => {
  it('is loaded once for callers who wish for different things', async () => {
    const rig = await open({ ollamas: [{ parallel: 8 }] });
    const [only] = rig.ollamas;
    await Promise.all([
      rig.ask({ maxTokens: 5 }),
      rig.ask({ model: 'TINY-CHAT:latest', think: true }),
      rig.ask({ model: 'library/tiny-chat', format: 'json' }),
      rig.ask({ sampling: { temperature: 0, seed: 1, stop: ['x'] } }),
    ]);
    await rig.ask({ maxTokens: 900, think: true });
    expect(only?.ledger.loads).toHaveLength(1);
    expect(only?.ledger.chats).toHaveLength(5);
  });

  it('counts as loaded from the moment when it is being loaded, and its load is measured', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock });
    const [first, second] = rig.both;
    await rig.provider.findModel('tiny-chat');
    const gate = createGate();
    first.nextLoad({ waitFor: gate });
    expect(rig.provider.view('tiny-chat')).toMatchObject([
      { isLoaded: false, loadMs: 10_000 },
      { isLoaded: false, loadMs: 10_000 },
    ]);
    const heard = rig.askAt(first);
    await gate.reached;
    expect(rig.provider.view('tiny-chat')[0]).toMatchObject({ isLoaded: true });
    await clock.advance(42_000);
    gate.open();
    await heard;
    expect(rig.provider.view('TINY-CHAT')).toMatchObject([
      { host: first.url, isLoaded: true, loadMs: 42_000 },
      { host: second.url, isLoaded: false, loadMs: 10_000 },
    ]);
    expect(rig.provider.view('tiny-plain')[0]).toMatchObject({ isLoaded: false, loadMs: 42_000 });
  });

  it('counts as loaded no more when it was pushed out', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock });
    const [first] = rig.both;
    await rig.askAt(first).then(() => rig.provider.findModel('tiny-chat'));
    await rig.askAt(first);
    first.crashRunner('tiny-chat');
    await clock.advance(2_100);
    await rig.provider.findModel('tiny-chat');
    expect(rig.provider.view('tiny-chat')[0]).toMatchObject({ isLoaded: false });
  });

  it('is loaded ahead on every host that has it, which the log tells', async () => {
    const rig = await open({ ollamas: [{}, { models: [{ name: 'other' }] }, {}] });
    rig.ollamas[2]?.nextLoad({ error: 'llama runner process has terminated: signal: killed' });
    await rig.provider.preload('tiny-chat');
    expect(rig.ollamas.map(({ ledger }) => ledger.loads.map(({ outcome }) => outcome))).toEqual([
      ['loaded'],
      [],
      ['failed'],
    ]);
    expect(rig.log.toSorted()).toEqual([
      'loading the model',
      'loading the model',
      'the model could not be loaded',
      'the model is loaded',
    ]);
  });

  it('is loaded ahead once on a host that comes later, too', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock });
    const [first, second] = rig.both;
    await first.kill();
    await rig.provider.preload('tiny-chat');
    expect(rig.ollamas.map(({ ledger }) => ledger.loads.length)).toEqual([0, 1]);
    await clock.advance(30_000);
    await first.restart();
    await advanceUntil(clock, () => first.ledger.loads.length > 0, 500);
    await first.ledger.until(({ loads }) => loads[0]?.outcome === 'loaded');
    await lose(rig);
    await first.restart();
    await advanceUntil(clock, () => rig.states[0] === 'up');
    await advanceMinute(clock);
    expect(first.ledger.loads).toHaveLength(1);
    expect(second.ledger.loads).toHaveLength(1);
  });

  it('is loaded ahead on hosts that come one after the other, be it from behind a proxy', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock });
    const [first, second] = rig.both;
    await first.kill();
    for (const path of QUESTIONS) second.fail(path, { status: 502 });
    await rig.provider.preload('tiny-chat');
    expect(rig.log).toContain('no host has the model that was to be loaded');
    second.heal();
    await advanceUntil(clock, () => second.ledger.loads.length > 0, 500);
    await first.restart();
    await advanceUntil(clock, () => first.ledger.loads.length > 0, 500);
    expect(rig.ollamas.map(({ ledger }) => ledger.loads.length)).toEqual([1, 1]);
  });

  it('is loaded ahead where it is pulled later', async () => {
    const rig = await open({ ollamas: [{ models: [] }] });
    await rig.provider.preload('tiny-chat');
    const [only] = rig.ollamas;
    only?.addModel({ name: 'tiny-chat' });
    await rig.provider.findModel('tiny-chat');
    await only?.ledger.until(({ loads }) => loads.length === 1);
    expect(rig.log).toEqual(['no host has the model that was to be loaded', 'loading the model']);
  });

  it('that is loaded, or is no more, is a change that is told', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock });
    const [first] = rig.both;
    await rig.provider.findModel('tiny-chat');
    const told: boolean[] = [];
    using _listening = rig.provider.onChange(
      () => void told.push(rig.provider.view('tiny-chat').some(({ isLoaded }) => isLoaded)),
    );
    await rig.askAt(first);
    await rig.askAt(first);
    expect(told).toEqual([true]);
    first.crashRunner('tiny-chat');
    await clock.advance(2_100);
    await rig.provider.findModel('tiny-chat');
    expect(told).toEqual([true, false]);
    await clock.advance(2_100);
    await rig.provider.findModel('tiny-chat');
    expect(told).toEqual([true, false]);
  });

  it('that another one has pushed out is known to be gone when that is loaded', async () => {
    const rig = await open({ ollamas: [{}] });
    const [only] = rig.ollamas;
    await rig.ask({ model: 'tiny-chat' });
    only?.crashRunner('tiny-chat');
    const { promise: gone, resolve } = Promise.withResolvers<boolean>();
    using _listening = rig.provider.onChange(() => {
      if (!rig.provider.view('tiny-chat')[0]?.isLoaded) resolve(true);
    });
    await rig.ask({ model: 'tiny-plain' });
    expect(await gone).toBe(true);
  });

  it('that was to be loaded ahead and is nowhere is told, too', async () => {
    const rig = await open();
    await rig.provider.preload('llama3');
    expect(rig.log).toEqual(['no host has the model that was to be loaded']);
  });
});

describe('a host that fails all that it is asked, twenty times a second for a minute', () => {
  it('is tried again for a tenth of the requests at most, is left alone within 5 s, and tried 6 times a minute', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock, ollamas: [{}] });
    const [only] = rig.ollamas;
    await rig.provider.findModel('tiny-chat');
    only?.fail('/api/chat', { status: 500, error: 'model runner has unexpectedly stopped, this may be due to …' });
    const provider = withRetry(rig.provider, { clock, ids: { newId: () => '', random: () => 0.5 }, maxRetries: 3 });
    const begunAt = clock.now();
    let openedAt: number | undefined;
    let [requests, retries, early, asked] = [0, 0, 0, 0];
    const leave = new AbortController();
    const ask = async (): Promise<void> => {
      for await (const [part] of provider.stream(toRequest(), leave.signal))
        if (part?.type === 'status' && part.status.state === 'retrying') retries += 1;
    };
    const running: Promise<unknown>[] = [];
    for (let step = 0; step < 1_200; step++) {
      requests += 1;
      running.push(ask().catch(() => undefined));
      await clock.advance(50);
      if (openedAt === undefined && rig.states[0] === 'away') {
        openedAt = clock.now() - begunAt;
        asked = only?.ledger.requestsTo('/api/chat').length ?? 0;
      }
      if (step === 199) early = retries;
    }
    leave.abort();
    await Promise.all(running);
    expect(openedAt).toBeLessThanOrEqual(5_000);
    expect((only?.ledger.requestsTo('/api/chat').length ?? 0) - asked).toBeLessThanOrEqual(7);
    expect(early).toBeLessThanOrEqual(20);
    expect(retries).toBeGreaterThanOrEqual(10);
    expect(retries).toBeLessThanOrEqual(requests * 0.1);
  });
});
