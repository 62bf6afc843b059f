import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ask, say, textOf } from './ask.ts';
import { rawExchange } from './raw-exchange.ts';
import { ScriptedOllama } from './scripted-ollama.ts';

describe('the ledger', () => {
  it('sees a client leave before the head', async () => {
    await using ollama = await ScriptedOllama.start();
    const client = new AbortController();
    const answer = ask(ollama, say('[[stall]]'), client.signal);
    await ollama.ledger.until(({ running }) => running === 1);
    client.abort();
    await expect(answer).rejects.toThrow('aborted');
    await ollama.ledger.until(({ running }) => running === 0);
    const [entry] = ollama.ledger.chats;
    expect(entry).toMatchObject({ status: undefined, abortedByClient: true, outcome: 'left', tokens: 0 });
    expect(entry?.abortedAt).toBeGreaterThanOrEqual(entry?.arrivedAt ?? Infinity);
  });

  it('sees a client leave in the middle, and the model stop', async () => {
    await using ollama = await ScriptedOllama.start();
    const client = new AbortController();
    const answer = await ask(ollama, say('[[endless]]'), client.signal);
    await ollama.ledger.until(({ tokens }) => tokens > 100);
    client.abort();
    await expect(answer.text()).rejects.toThrow('aborted');
    await ollama.ledger.until(({ running }) => running === 0);
    expect(ollama.ledger.chats[0]).toMatchObject({ status: 200, abortedByClient: true, outcome: 'left' });
    expect(await textOf(await ask(ollama))).not.toBe('');
  });

  it('says what it waited for in vain', async () => {
    await using ollama = await ScriptedOllama.start();
    await ask(ollama);
    const never = ollama.ledger.until(() => false, { timeoutMs: 1, what: 'the end of the world' });
    await expect(never).rejects.toThrow(/the end of the world[^]*POST \/api\/chat 200 answered/);
  });

  it('keeps bodies, prompts and headers', async () => {
    await using ollama = await ScriptedOllama.start();
    await ask(ollama, say('what I said'));
    expect(ollama.ledger.entries[0]).toMatchObject({
      method: 'POST',
      path: '/api/chat',
      body: { model: 'tiny-chat' },
      prompt: 'what I said',
      promptTokens: 7,
      model: 'tiny-chat',
    });
  });
});

describe('a host that is not well', () => {
  it('tears everything when it is killed, refuses then, and comes back on its port with nothing loaded', async () => {
    await using ollama = await ScriptedOllama.start();
    const answer = await ask(ollama, say('[[stall:2]]'));
    await ollama.kill();
    await expect(answer.text()).rejects.toThrow('terminated');
    expect(ollama.ledger.chats[0]).toMatchObject({ outcome: 'killed', abortedByClient: false, generating: false });
    await expect(ask(ollama)).rejects.toThrow('fetch failed');
    const { url } = ollama;
    await ollama.restart();
    expect(ollama.url).toBe(url);
    expect(await (await fetch(`${url}/api/ps`)).json()).toEqual({ models: [] });
    expect((await ask(ollama)).status).toBe(200);
    expect(ollama.ledger.loads).toHaveLength(2);
  });

  it('fails, resets or hangs at one endpoint until it is healed', async () => {
    await using ollama = await ScriptedOllama.start();
    const ps = () => fetch(`${ollama.url}/api/ps`);
    ollama.fail('/api/ps', { status: 500, error: 'broken' });
    expect(await (await ps()).json()).toEqual({ error: 'broken' });
    expect((await fetch(`${ollama.url}/api/tags`)).status).toBe(200);
    ollama.reset('/api/ps');
    await expect(ps()).rejects.toThrow('fetch failed');
    ollama.hang('/api/ps');
    const hanging = ps();
    await ollama.ledger.until((ledger) => ledger.requestsTo('/api/ps').length === 3);
    ollama.heal('/api/ps');
    expect((await hanging).status).toBe(200);
    expect((await ps()).status).toBe(200);
  });

  it('hears no foreign Host', async () => {
    await using ollama = await ScriptedOllama.start();
    const foreign = { method: 'GET', path: '/api/version', headers: { Host: 'evil.example' } };
    expect(await rawExchange(ollama.port, foreign)).toMatchObject({ status: 403, chunks: [''] });
    expect((await rawExchange(ollama.port, { ...foreign, headers: { Host: 'x.localhost:1' } })).status).toBe(200);
  });

  it('keeps a connection for the next request', async () => {
    await using ollama = await ScriptedOllama.start();
    const socket = connect(ollama.port, '127.0.0.1');
    for (let request = 0; request < 2; request++) {
      socket.write('GET /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n');
      const [bytes] = await once(socket, 'data');
      expect(String(bytes)).not.toMatch(/connection:|keep-alive/i);
    }
    socket.destroy();
  });

  it('is a process of its own, too, that can be killed', async () => {
    const main = fileURLToPath(new URL('./main.ts', import.meta.url));
    const child = spawn(process.execPath, [main, '--pace', '1'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = await once(createInterface(child.stdout), 'line');
    const { url } = JSON.parse(line);
    expect((await fetch(`${url}/api/version`)).status).toBe(200);
    child.kill('SIGKILL');
    await once(child, 'exit');
    await expect(fetch(`${url}/api/version`)).rejects.toThrow('fetch failed');
  });

  it('lets go of its port and its waiting clients when it is stopped', async () => {
    const ollama = await ScriptedOllama.start();
    ollama.hang('/api/tags');
    const hanging = fetch(`${ollama.url}/api/tags`);
    await ollama.ledger.until(({ entries }) => entries.length === 1);
    await ollama.stop();
    await expect(hanging).rejects.toThrow('fetch failed');
  });
});
