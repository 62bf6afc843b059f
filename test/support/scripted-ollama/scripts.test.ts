import { describe, expect, it } from 'vitest';
import { ask, load, say, textOf } from './ask.ts';
import { rawExchange } from './raw-exchange.ts';
import { createGate, ScriptedOllama, withoutSalts } from './scripted-ollama.ts';
import { namedScripts } from './scripts/named-scripts.ts';

describe('a script', () => {
  /** Scripts whose answer has no end of its own, or needs a client of its own. */
  const endless = [
    'stall',
    'leak',
    'done-stays-open',
    'endless',
    'endless-thinking',
    'repeat-for-ever',
    'unended-line',
  ];

  /** Only the time differs. */
  const late = ['pause', 'pace', 'slow-start', 'slow-load'];
  const torn = ['cut-off', 'reset', 'crash-serve'];

  it.each(Object.keys(namedScripts).filter((name) => ![...endless, ...torn].includes(name)))(
    'is played by its marker: %s',
    async (name) => {
      await using ollama = await ScriptedOllama.start();
      const marked = { model: 'tiny-chat', ...say(`please [[${name}]]`), think: false };
      const { status, chunks } = await rawExchange(ollama.port, { method: 'POST', path: '/api/chat', body: marked });
      const usual = await rawExchange(ollama.port, {
        method: 'POST',
        path: '/api/chat',
        body: { ...marked, ...say(`please ((${name}))`) },
      });
      expect(ollama.ledger.chats.map(({ script }) => script)).toEqual([name, undefined]);
      const isOther =
        status !== usual.status || chunks.map(withoutTimes).join('') !== usual.chunks.map(withoutTimes).join('');
      expect(isOther).toBe(!late.includes(name));
    },
  );

  it.each(endless)('goes on until the client leaves: %s', async (name) => {
    await using ollama = await ScriptedOllama.start();
    const client = new AbortController();
    ollama.next(name);
    const answer = ask(ollama, {}, client.signal).catch(() => undefined);
    await ollama.ledger.until(({ running }) => running === 1);
    client.abort();
    await answer;
    await ollama.ledger.until(({ chats }) => chats[0]?.outcome !== 'open');
    expect(ollama.ledger.chats[0]).toMatchObject({ abortedByClient: true });
  });

  it('comes from the line before it comes from a marker, one for each request', async () => {
    await using ollama = await ScriptedOllama.start();
    ollama.next('say:one', [{ status: 500, body: 'two' }]);
    expect(await textOf(await ask(ollama, say('[[say:three]]')))).toBe('one');
    expect(await (await ask(ollama, say('[[say:three]]'))).text()).toBe('two');
    expect(await textOf(await ask(ollama, say('[[say:three]]')))).toBe('three');
  });

  it('is not used up by a load or a rendering', async () => {
    await using ollama = await ScriptedOllama.start();
    ollama.next('say:one');
    await ask(ollama, load());
    await ask(ollama, { _debug_render_only: true });
    expect(await textOf(await ask(ollama))).toBe('one');
  });

  it('that does not exist fails loudly', async () => {
    await using ollama = await ScriptedOllama.start();
    expect(() => ollama.next('no-such-script')).toThrow('no-such-script');
    expect((await ask(ollama, say('[[no-such-script]]'))).status).toBe(500);
  });

  it('can fail the first attempts only', async () => {
    await using ollama = await ScriptedOllama.start();
    const statuses = [];
    for (let attempt = 0; attempt < 3; attempt++) statuses.push((await ask(ollama, say('[[first:2:busy]]'))).status);
    expect(statuses).toEqual([503, 503, 200]);
  });

  it('of steps holds the stream at a gate', async () => {
    await using ollama = await ScriptedOllama.start();
    const gate = createGate();
    ollama.next([{ say: 'before' }, { waitFor: gate }, { say: ' after' }, { done: true }]);
    const answer = await ask(ollama);
    await gate.reached;
    expect(ollama.ledger.tokens).toBe(1);
    gate.open();
    expect(await textOf(answer)).toBe('before after');
  });

  it('cuts characters and JSON over the reads of a socket', async () => {
    await using ollama = await ScriptedOllama.start();
    ollama.next('cut-lines:1');
    const answer = await ask(ollama);
    const reads: Uint8Array[] = [];
    for await (const bytes of answer.body ?? []) reads.push(bytes);
    expect(reads.some((bytes) => new TextDecoder().decode(bytes).includes('\uFFFD'))).toBe(true);
    expect(Buffer.concat(reads).toString()).toContain('東京');
  });

  it('writes JSON as Go does, and other characters as they are', async () => {
    await using ollama = await ScriptedOllama.start();
    const text = await (await ask(ollama, say('[[unicode]]'))).text();
    expect(text).toContain('"content":" \\u003cb\\u003e\\u0026"');
    expect(text).toContain('"content":" 東京"');
  });

  it('closes the connection in the middle, behind all that it said', async () => {
    await using ollama = await ScriptedOllama.start();
    const { chunks, chunkedTerminator } = await rawExchange(ollama.port, {
      method: 'POST',
      path: '/api/chat',
      body: { model: 'tiny-plain', ...say('[[cut-off:2]]') },
    });
    expect({ lines: chunks.length, chunkedTerminator }).toEqual({ lines: 2, chunkedTerminator: false });
    expect(ollama.ledger.chats[0]).toMatchObject({ outcome: 'reset', abortedByClient: false });
  });

  it('tears the connection', async () => {
    await using ollama = await ScriptedOllama.start();
    const gate = createGate();
    ollama.next([{ say: 'one' }, { waitFor: gate }, { reset: true }]);
    const answer = await ask(ollama);
    gate.open();
    await expect(answer.text()).rejects.toThrow('terminated');
    expect(ollama.ledger.chats[0]).toMatchObject({ outcome: 'reset', abortedByClient: false });
  });

  it('gathers what it says when the answer is not streamed', async () => {
    await using ollama = await ScriptedOllama.start();
    const answer = await ask(ollama, { ...say('[[no-done:3]]'), stream: false });
    expect(await answer.json()).toMatchObject({
      message: { content: expect.stringMatching(/^I \[.*\] am$/) },
      done: false,
    });
  });
});

/** A line without what differs between two equal replies. */
const withoutTimes = (line: string): string =>
  withoutSalts(line).replaceAll(/"(?:created_at|\w+_duration)":[^,}]+/g, '');
