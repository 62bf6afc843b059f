import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Deadlines } from '../../src/deadlines.ts';
import { BackendUnavailableError, ModelNotFoundError } from '../../src/errors.ts';
import { OllamaHost } from '../../src/providers/ollama/ollama-host.ts';
import { pullModel } from '../../src/providers/ollama/pull-model.ts';
import type { PullProgress } from '../../src/providers/provider.ts';
import { createGate, ScriptedOllama } from '../support/scripted-ollama/scripted-ollama.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

/** One download onto one host. */

let ollama: ScriptedOllama;
let clock: VirtualClock;
let deadlines: Deadlines;
let host: OllamaHost;
let told: PullProgress[];

beforeEach(async () => {
  ollama = await ScriptedOllama.start();
  clock = new VirtualClock();
  deadlines = new Deadlines(clock);
  host = new OllamaHost({ baseUrl: ollama.url, connectTimeoutMs: 2000, deadlines });
  told = [];
});

afterEach(async () => {
  deadlines[Symbol.dispose]();
  await host[Symbol.asyncDispose]();
  await ollama.stop();
});

const pull = (model = 'llama3', signal = new AbortController().signal): Promise<void> =>
  pullModel({ host, deadlines, model, onProgress: (progress) => void told.push(progress), signal });

const failureOf = async (work: Promise<void>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

describe('a download', () => {
  it('ends when the host has the model', async () => {
    await pull();
    expect(told.at(-1)).toEqual({ completedBytes: 1_207_328, totalBytes: 1_207_328 });
    const [request] = ollama.ledger.requestsTo('/api/pull');
    expect(request).toMatchObject({ body: { model: 'llama3' }, outcome: 'answered' });
  });

  it('tells the sum of the layers that are known, also of those of which nothing is there yet', async () => {
    const gates = [createGate(), createGate()];
    ollama.nextPull(
      { layer: 'weights', total: 1000 },
      { waitFor: gates[0]! },
      { layer: 'weights', total: 1000, completed: 1000 },
      { layer: 'weights', total: 1000, completed: 1000 },
      { layer: 'template', total: 10, completed: 4 },
      { waitFor: gates[1]! },
      { success: true },
    );
    const pulling = pull();
    await gates[0]!.reached;
    await expect.poll(() => told.at(-1)).toEqual({ completedBytes: 0, totalBytes: 1000 });
    gates[0]!.open();
    await gates[1]!.reached;
    await expect.poll(() => told.at(-1)).toEqual({ completedBytes: 1004, totalBytes: 1010 });
    gates[1]!.open();
    await pulling;
  });

  it('of a model that the registry does not have says so', async () => {
    const error = await failureOf(pull('absent'));
    expect(error).toBeInstanceOf(ModelNotFoundError);
    expect(error).toMatchObject({ message: expect.stringContaining('"absent"') });
  });

  it.each([
    ['write /models/blobs/sha256-1-partial: no space left on device', 'The disk of the Ollama host is full'],
    ['pull model manifest: 412: this model requires a newer version of Ollama', 'Update Ollama'],
    ['max retries exceeded: EOF', 'Its log says more'],
  ])('that fails in the middle says why: %s', async (text, words) => {
    ollama.nextPull({ layer: 'weights', total: 1000, completed: 10 }, { line: { error: text } });
    const error = await failureOf(pull());
    expect(error).toBeInstanceOf(BackendUnavailableError);
    expect(error).toMatchObject({ message: expect.stringContaining(words) });
    expect(error).toMatchObject({ message: expect.not.stringContaining(text) }); // it may hold paths
  });

  it('that ends without a word of success has failed', async () => {
    ollama.nextPull({ layer: 'weights', total: 1000, completed: 1000 });
    expect(await failureOf(pull())).toMatchObject({ code: 'backend_unavailable' });
  });

  it('from a host that goes away has failed', async () => {
    ollama.nextPull({ layer: 'weights', total: 1000, completed: 10 }, { reset: true });
    expect(await failureOf(pull())).toMatchObject({ code: 'backend_unavailable' });
    await ollama.kill();
    expect(await failureOf(pull())).toMatchObject({ code: 'backend_unavailable' });
  });

  it('that is refused at once has failed', async () => {
    ollama.fail('/api/pull', { status: 404, body: '404 page not found' });
    expect(await failureOf(pull())).toMatchObject({ code: 'backend_unavailable' });
  });

  it('has no limit but silence', async () => {
    const gate = createGate();
    ollama.nextPull({ layer: 'weights', total: 1000, completed: 10 }, { waitFor: gate }, { hang: true });
    const failed = failureOf(pull());
    await gate.reached;
    await expect.poll(() => told.at(-1)?.completedBytes).toBe(10);
    await clock.advance(50_000);
    expect(ollama.ledger.requestsTo('/api/pull')[0]).toMatchObject({ outcome: 'open' });
    await clock.advance(10_100);
    expect(await failed).toMatchObject({
      code: 'backend_unavailable',
      message: expect.stringContaining('fell silent'),
    });
    await ollama.ledger.until((ledger) => ledger.requestsTo('/api/pull')[0]?.outcome === 'left');
  });

  it('may be silent for longer while what came is checked', async () => {
    const gate = createGate();
    ollama.nextPull(
      { layer: 'weights', total: 1000, completed: 1000 },
      { line: { status: 'verifying sha256 digest' } },
      { waitFor: gate },
      { success: true },
    );
    const pulling = pull();
    await gate.reached;
    await expect.poll(() => told.at(-1)?.completedBytes).toBe(1000);
    await host.ask((client) => client.version()); // what was written before has been read
    await clock.advance(600_000);
    gate.open();
    await pulling;
  });

  it('is left when the service stops', async () => {
    const stop = new AbortController();
    const gate = createGate();
    ollama.nextPull({ waitFor: gate }, { hang: true });
    const failed = failureOf(pull('llama3', stop.signal));
    await gate.reached;
    const reason = new Error('stopping');
    stop.abort(reason);
    expect(await failed).toBe(reason);
    await ollama.ledger.until((ledger) => ledger.requestsTo('/api/pull')[0]?.outcome === 'left');
  });
});
