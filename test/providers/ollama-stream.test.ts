import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { once } from 'node:events';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { BackendError, BackendUnavailableError, LLMError } from '../../src/errors.ts';
import type { Part } from '../../src/providers/provider.ts';
import { replayRecording } from '../support/recordings.ts';
import { createGate } from '../support/scripted-ollama/scripted-ollama.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import { OllamaRig, hear, readToFirstDelta, toRequest } from './ollama-rig.ts';

const rigs: OllamaRig[] = [];
const servers: Server[] = [];

const open = async (...options: Parameters<typeof OllamaRig.open>): Promise<OllamaRig> => {
  const rig = await OllamaRig.open(...options);
  rigs.push(rig);
  return rig;
};

const warmRig = async (): Promise<OllamaRig> => {
  const rig = await open();
  await rig.warm();
  return rig;
};

afterEach(async () => {
  for (const rig of rigs.splice(0)) await rig[Symbol.asyncDispose]();
  for (const server of servers.splice(0)) server.close().closeAllConnections();
  vi.restoreAllMocks();
});

describe('an answer of Ollama', () => {
  it('comes as deltas in arrays, then one finish with the counts', async () => {
    const rig = await open();
    rig.ollama.next(replayRecording('think-false'));
    const { content, finish, arrays } = await rig.ask();
    expect(content).toContain(' ');
    expect(finish).toMatchObject({ finishReason: 'stop', completionTokens: 48 });
    expect(arrays.every((parts) => parts.length > 0)).toBe(true);
    expect(arrays.flat().at(-1)).toBe(finish);
  });

  it('brings thinking apart from content', async () => {
    const rig = await open();
    rig.ollama.next(replayRecording('stream'));
    const { thinking, content, finish } = await rig.ask({ think: true });
    expect(thinking).toMatch(/^The u/);
    expect(content).not.toContain('The u');
    expect(finish).toMatchObject({ finishReason: 'stop', promptTokens: 31, completionTokens: 121 });
  });

  it('that ran out of tokens ends with length, also when it is its last line alone', async () => {
    const rig = await open();
    rig.ollama.next(replayRecording('length'), replayRecording('logprobs'));
    expect(await rig.ask()).toMatchObject({ content: '', finish: { finishReason: 'length' } });
    expect(await rig.ask()).toMatchObject({ content: '', thinking: '', finish: { finishReason: 'length' } });
  });

  it('may bring text in its last line', async () => {
    const rig = await open();
    rig.ollama.next([{ say: 'Hel' }, { done: { content: 'lo' } }]);
    expect((await rig.ask()).content).toBe('Hello');
  });

  it('may leave the counts out', async () => {
    const rig = await open();
    rig.ollama.next([{ say: 'Hi' }, { done: { promptEvalCount: null, evalCount: null } }]);
    expect((await rig.ask()).finish).toStrictEqual({ type: 'finish', finishReason: 'stop' });
  });

  it('ends with stop for a reason that nobody knows', async () => {
    const rig = await open();
    rig.ollama.next([{ say: 'Hi' }, { done: { reason: 'unload' } }]);
    expect((await rig.ask()).finish?.finishReason).toBe('stop');
  });

  it.each(['cut-lines:3', 'cut-lines:7', 'lines-together', 'blank-lines', 'crlf', 'no-last-newline', 'no-message'])(
    'is read whole when its lines come as %s',
    async (script) => {
      const rig = await open();
      rig.ollama.next(script);
      const { content, finish } = await rig.ask();
      expect(content).toMatch(/^Grüße aus 東京 😀 \[\w+\]$/u);
      expect(finish?.finishReason).toBe('stop');
    },
  );

  it('ignores a tool call that nobody could have asked for, and notes it', async () => {
    const rig = await open();
    rig.ollama.next(replayRecording('tools'));
    expect((await rig.ask()).finish?.finishReason).toBe('stop');
    expect(rig.warnings).toContain('a model called a tool that nobody had offered');
  });
});

describe('an answer of Ollama that goes wrong', () => {
  it.each(['malformed', 'non-object:42', 'non-object:null', 'wrong-types', 'invalid-utf8', 'big-line', 'unended-line'])(
    'with %s is an error after what came before, never skipped',
    async (script) => {
      const rig = await open();
      rig.ollama.next(script);
      const { content, error, finish } = await rig.ask();
      expect(content).toMatch(/^Grüße/u);
      expect(error).toBeInstanceOf(BackendError);
      expect(finish).toBeUndefined();
      await rig.ollama.ledger.until(({ running }) => running === 0);
    },
  );

  it('in an error line keeps what was said, and is no plain Error', async () => {
    const rig = await open();
    rig.ollama.next('error-line:3');
    const { content, error } = await rig.ask();
    expect(content).not.toBe('');
    expect(error).toBeInstanceOf(BackendError);
  });

  it('in an error line without newline is the same', async () => {
    const rig = await open();
    rig.ollama.next('error-unended:3');
    expect((await rig.ask()).error).toBeInstanceOf(BackendError);
  });

  it('in an error line before any output can pass by itself', async () => {
    const rig = await open();
    rig.ollama.next('error-line:0');
    expect((await rig.ask()).error).toMatchObject({ code: 'backend_unavailable', transient: true });
  });

  it('says of a format that Ollama does not know, after the thinking, that the request is wrong', async () => {
    const rig = await open();
    rig.ollama.next(replayRecording('format-bad'));
    const { thinking, error } = await rig.ask({ think: true });
    expect(thinking).not.toBe('');
    expect(error).toMatchObject({ code: 'invalid_request' });
  });

  it('by a clean end without a last line is an error, transient only before any output', async () => {
    const rig = await open();
    rig.ollama.next('no-done:3', 'no-done:0');
    expect((await rig.ask()).error).toMatchObject({ code: 'backend_error', transient: false });
    expect((await rig.ask()).error).toMatchObject({ code: 'backend_error', transient: true });
  });

  it.each(['reason-without-done', 'reason-done-false', 'done-without-reason'])('is whole with %s', async (script) => {
    const rig = await open();
    rig.ollama.next(script);
    expect(await rig.ask()).toMatchObject({ finish: { finishReason: 'stop' }, error: undefined });
  });

  it.each(['reset', 'cut-off'])('by a connection that is lost (%s) says whether anything was seen', async (script) => {
    const rig = await open();
    rig.ollama.next(`${script}:3`, `${script}:0`);
    const { content, error } = await rig.ask();
    expect(content).not.toBe('');
    expect(error).toBeInstanceOf(BackendError);
    const { error: early } = await rig.ask();
    expect(early).toBeInstanceOf(BackendUnavailableError);
    expect(early).toMatchObject({ transient: true });
  });

  it('by a redirect is not followed', async () => {
    const rig = await warmRig();
    rig.ollama.fail('/api/chat', { status: 307, body: '', headers: { Location: `${rig.ollama.url}/api/version` } });
    const { error } = await rig.ask();
    expect(error).toBeInstanceOf(BackendError);
    expect(String(error)).toContain('OLLAMA_BASE_URL');
    expect(rig.ollama.ledger.requestsTo('/api/version')).toHaveLength(0);
  });

  it('with a page of HTML in place of JSON writes nothing to the console', async () => {
    const rig = await open();
    const spies = (['log', 'warn', 'error'] as const).map((name) => vi.spyOn(console, name));
    rig.ollama.next('proxy-error:502', 'plain-404');
    rig.ollama.fail('/api/ps', { status: 500, body: '<html>', headers: { 'Content-Type': 'text/html' } });
    expect((await rig.ask()).error).toMatchObject({ code: 'backend_unavailable', transient: true });
    expect((await rig.ask()).error).toBeInstanceOf(BackendError);
    rig.ollama.fail('/api/version', { status: 200, body: '<html>' });
    expect(await rig.provider.health()).toMatchObject({ status: 'down' });
    for (const spy of spies) expect(spy).not.toHaveBeenCalled();
  });
});

describe('the connection of an answer', () => {
  it('is closed when the reader leaves early, so that the model stops', async () => {
    const rig = await warmRig();
    rig.ollama.next({ steps: [{ say: 'one' }, { hang: true }] });
    for await (const parts of rig.provider.stream(toRequest(), new AbortController().signal)) {
      if (parts.some(({ type }) => type === 'text-delta')) break;
    }
    await rig.ollama.ledger.until(({ running }) => running === 0);
    expect(rig.ollama.ledger.chats.at(-1)?.outcome).toBe('left');
  });

  it('is closed by an abort in the middle, with the reason of the signal', async () => {
    const rig = await open();
    const controller = new AbortController();
    const reason = new Error('the user left');
    rig.ollama.next([{ say: 'one' }, { hang: true }]);
    const reader = rig.provider.stream(toRequest(), controller.signal)[Symbol.asyncIterator]();
    await readToFirstDelta(reader);
    controller.abort(reason);
    await expect(reader.next()).rejects.toBe(reason);
    await rig.ollama.ledger.until(({ chats }) => chats.at(-1)?.outcome === 'left');
  });

  it('is closed by an abort while nobody reads', async () => {
    const rig = await open();
    const controller = new AbortController();
    rig.ollama.next([{ say: 'one' }, { hang: true }]);
    const reader = rig.provider.stream(toRequest(), controller.signal)[Symbol.asyncIterator]();
    await readToFirstDelta(reader);
    controller.abort();
    await rig.ollama.ledger.until(({ chats }) => chats.at(-1)?.outcome === 'left');
    await expect(reader.next()).rejects.toBe(controller.signal.reason);
  });

  it('is closed by an abort before the first byte', async () => {
    const rig = await warmRig();
    const controller = new AbortController();
    const reason = new Error('too late');
    rig.ollama.next('stall');
    const heard = rig.ask({}, controller.signal);
    await rig.ollama.ledger.until(({ running }) => running === 1);
    controller.abort(reason);
    expect((await heard).error).toBe(reason);
    await rig.ollama.ledger.until(({ chats }) => chats.at(-1)?.outcome === 'left');
  });

  it('is never opened for a signal that has aborted', async () => {
    const rig = await warmRig();
    const before = rig.ollama.ledger.entries.length;
    expect((await rig.ask({}, AbortSignal.abort('gone'))).error).toBe('gone');
    expect(rig.ollama.ledger.entries).toHaveLength(before);
  });

  it('is one’s own: an abort ends no other answer', async () => {
    const rig = await open({ ollama: { parallel: 2 } });
    await rig.warm();
    const gate = createGate();
    const controller = new AbortController();
    rig.ollama.next([{ say: 'a' }, { waitFor: gate }, { say: 'b' }, { done: true }]);
    const stays = rig.ask();
    await rig.ollama.ledger.until(({ running }) => running === 1);
    rig.ollama.next('stall');
    const leaves = rig.ask({}, controller.signal);
    await rig.ollama.ledger.until(({ running }) => running === 2);
    controller.abort();
    await leaves;
    gate.open();
    expect(await stays).toMatchObject({ content: 'ab', error: undefined });
  });

  it('is used again after a whole answer', async () => {
    const server = createServer((request, response) => {
      request.resume();
      response.end(answers[request.url ?? ''] ?? '{}');
    });
    servers.push(server.listen(0, '127.0.0.1'));
    await once(server, 'listening');
    let connections = 0;
    server.on('connection', () => connections++);
    const rig = await open({ baseUrl: urlOf(server) });
    for (let turn = 0; turn < 5; turn++) expect((await rig.ask()).finish?.finishReason).toBe('stop');
    expect(connections).toBeLessThanOrEqual(2); // tags and ps are asked side by side
  });

  it('is not waited for when HTTP’s end does not come after the last line', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock });
    rig.ollama.next('done-stays-open');
    expect((await rig.ask()).finish?.finishReason).toBe('stop');
    await clock.advance(1_100);
    await rig.ollama.ledger.until(({ chats }) => chats.at(-1)?.outcome === 'left');
  });

  it('brings nothing after the last line', async () => {
    const rig = await open();
    rig.ollama.next('lines-after-done');
    const { parts } = await rig.ask();
    expect(parts.filter(({ type }) => type === 'finish')).toHaveLength(1);
    expect(parts.at(-1)?.type).toBe('finish');
  });

  it('may be refused: the error names the address and how to start Ollama', async () => {
    const rig = await warmRig();
    await rig.ollama.kill();
    await rig.ask(); // a connection that was open breaks
    const { error } = await rig.ask();
    expect(error).toMatchObject({ code: 'backend_unavailable', transient: true });
    expect(String(error)).toMatch(/127\.0\.0\.1.*`ollama serve`/);
  });

  it('fails only with errors of ours', async () => {
    const rig = await open();
    for (const script of ['runner-stopped', 'no-slots', 'too-long-nested', 'forbidden', 'status:418', 'canceled']) {
      rig.ollama.next(script);
      expect((await rig.ask()).error).toBeInstanceOf(LLMError);
    }
  });
});

/** The backend's own, however many of them came at once. */
const countDeltas = (parts: readonly Part[]): number =>
  parts.reduce((sum, part) => sum + (part.type === 'text-delta' ? (part.deltas ?? 1) : 0), 0);

describe('a model that repeats itself', () => {
  it('is stopped with the finish reason repetition, and the host is free again', async () => {
    const rig = await open();
    rig.ollama.next({ ignoresLimit: true, steps: forEver(['ha']) });
    const { finish, parts } = await rig.ask();
    expect(finish).toStrictEqual({ type: 'finish', finishReason: 'repetition' });
    expect(countDeltas(parts)).toBe(101);
    await rig.ollama.ledger.until(({ running }) => running === 0);
  });

  it('is stopped for a sentence too', async () => {
    const rig = await open();
    const words = Array.from({ length: 20 }, (_, index) => ` word${index}`);
    rig.ollama.next({ ignoresLimit: true, steps: forEver(words) });
    const heard = await hear(rig.provider.stream(toRequest(), new AbortController().signal));
    expect(heard.finish?.finishReason).toBe('repetition');
    expect(countDeltas(heard.parts)).toBe(100);
  });
});

const forEver = (words: readonly string[]) =>
  function* steps() {
    for (;;) for (const say of words) yield { say };
  };

const answers: Readonly<Record<string, string>> = {
  '/api/tags': '{"models":[{"name":"tiny-chat:latest","digest":"d"}]}',
  '/api/ps': '{"models":[{"name":"tiny-chat:latest","context_length":2048}]}',
  '/api/show': '{"capabilities":["completion"]}',
  '/api/chat': '{"message":{"content":"hi"},"done":true,"done_reason":"stop"}\n',
};

const urlOf = (server: Server): string => {
  const address = server.address();
  if (typeof address !== 'object' || !address) throw new Error('the server does not listen');
  return `http://127.0.0.1:${address.port}`;
};
