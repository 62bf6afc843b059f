import { describe, expect, it } from 'vitest';
import { ask, linesOf, load, say, textOf } from './ask.ts';
import { createGate, ScriptedOllama } from './scripted-ollama.ts';

describe('slots', () => {
  it('are given in the order of asking, one reply at a time', async () => {
    await using ollama = await ScriptedOllama.start();
    const gate = createGate();
    ollama.next([{ waitFor: gate }, { say: 'first' }, { done: true }], 'say:second', 'say:third');
    const answers = [ask(ollama)];
    await gate.reached;
    for (const count of [2, 3]) {
      answers.push(ask(ollama));
      await ollama.ledger.until(({ chats }) => chats.filter(({ body }) => body).length === count);
    }
    expect(ollama.ledger.running).toBe(1);
    gate.open();
    const texts = await Promise.all(answers.map(async (answer) => textOf(await answer)));
    expect(texts).toEqual(['first', 'second', 'third']);
    expect(ollama.ledger.maxRunning).toBe(1);
    const ends = ollama.ledger.chats.map(({ endedAt }) => endedAt ?? 0);
    expect(ends).toEqual(ends.toSorted((a, b) => a - b));
  });

  it('are as many as there are in parallel', async () => {
    await using ollama = await ScriptedOllama.start({ parallel: 2 });
    const gate = createGate();
    ollama.next(...Array.from({ length: 3 }, () => [{ waitFor: gate }, { done: true }] as const));
    const answers = Array.from({ length: 3 }, () => ask(ollama));
    await ollama.ledger.until(({ running, chats }) => running === 2 && chats.length === 3);
    gate.open();
    await Promise.all(answers);
    expect(ollama.ledger.maxRunning).toBe(2);
  });

  it('are left by a client that waits no longer, and go to the next', async () => {
    await using ollama = await ScriptedOllama.start();
    const gate = createGate();
    ollama.next([{ waitFor: gate }, { done: true }]);
    const first = ask(ollama);
    await gate.reached;
    const client = new AbortController();
    const second = ask(ollama, {}, client.signal);
    await ollama.ledger.until(({ chats }) => chats.filter(({ body }) => body).length === 2);
    client.abort();
    await expect(second).rejects.toThrow('aborted');
    await ollama.ledger.until(({ chats }) => chats[1]?.outcome === 'left');
    gate.open();
    await (await first).text();
    expect((await linesOf(await ask(ollama))).at(-1)?.done).toBe(true);
    expect(ollama.ledger.chats[1]?.tokens).toBe(0);
  });

  it('that leaked stay taken until the model is unloaded', async () => {
    await using ollama = await ScriptedOllama.start();
    const client = new AbortController();
    const leaking = await ask(ollama, say('[[leak:2]]'), client.signal);
    client.abort();
    await expect(leaking.text()).rejects.toThrow('aborted');
    await ollama.ledger.until(({ chats }) => chats[0]?.outcome === 'left');
    const waiting = ask(ollama);
    await ollama.ledger.until(({ chats }) => chats[1]?.body !== undefined);
    expect(ollama.ledger.running).toBe(1);
    await ask(ollama, load({ keep_alive: 0 }));
    expect((await waiting).status).toBe(500);
    expect((await ask(ollama)).status).toBe(200);
    expect(ollama.ledger.loads).toHaveLength(2);
  });

  it.each(['stall:1', 'endless:1'])(
    'end with an error line when the runner dies in %s; who waited gets a 500',
    async (script) => {
      await using ollama = await ScriptedOllama.start();
      const running = await ask(ollama, say(`[[${script}]]`));
      const waiting = ask(ollama);
      await ollama.ledger.until(({ chats }) => chats[1]?.body !== undefined);
      ollama.crashRunner('tiny-chat');
      expect((await linesOf(running)).at(-1)?.error).toContain('unexpected EOF');
      expect(await (await waiting).json()).toEqual({ error: expect.stringContaining('process no longer running') });
    },
  );
});

describe('loading', () => {
  it('is shared by those who wait for it', async () => {
    await using ollama = await ScriptedOllama.start();
    const gate = createGate();
    ollama.nextLoad({ waitFor: gate });
    const answers = [ask(ollama, load()), ask(ollama), ask(ollama)];
    await gate.reached;
    await ollama.ledger.until(({ entries }) => entries.filter(({ body }) => body).length === 3);
    gate.open();
    for (const answer of await Promise.all(answers)) expect(answer.status).toBe(200);
    expect(ollama.ledger.loads).toEqual([{ model: 'tiny-chat:latest', numCtx: 2048, outcome: 'loaded' }]);
  });

  it('is aborted when the client leaves that began it, and begun anew for the next', async () => {
    await using ollama = await ScriptedOllama.start();
    const gate = createGate();
    ollama.nextLoad({ waitFor: gate });
    const client = new AbortController();
    const first = ask(ollama, {}, client.signal);
    await gate.reached;
    const second = ask(ollama);
    await ollama.ledger.until(({ entries }) => entries.filter(({ body }) => body).length === 2);
    client.abort();
    await expect(first).rejects.toThrow('aborted');
    expect((await second).status).toBe(200);
    expect(ollama.ledger.abortedLoads).toBe(1);
    expect(ollama.ledger.loads.map(({ outcome }) => outcome)).toEqual(['aborted', 'loaded']);
  });

  it('happens again for another num_ctx, capped at the trained length', async () => {
    await using ollama = await ScriptedOllama.start();
    for (const numCtx of [512, 512, 4096, 2048]) await ask(ollama, load({ options: { num_ctx: numCtx } }));
    expect(ollama.ledger.loads.map(({ numCtx }) => numCtx)).toEqual([512, 2048]);
    expect(ollama.ledger.loadsOf('tiny-chat:latest', 512)).toBe(1);
  });

  it('waits until the replies end that the loaded model makes', async () => {
    await using ollama = await ScriptedOllama.start();
    const gate = createGate();
    ollama.next([{ waitFor: gate }, { done: true }]);
    const first = ask(ollama);
    await gate.reached;
    const second = ask(ollama, { options: { num_ctx: 512 } });
    await ollama.ledger.until(({ chats }) => chats[1]?.body !== undefined);
    expect(ollama.ledger.loads).toHaveLength(1);
    gate.open();
    await Promise.all([first, second]);
    expect(ollama.ledger.loads).toHaveLength(2);
  });

  it('refuses with 503 when too many wait for it', async () => {
    await using ollama = await ScriptedOllama.start({ maxQueue: 1 });
    const gate = createGate();
    ollama.nextLoad({ waitFor: gate });
    const first = ask(ollama);
    await gate.reached;
    const others = [ask(ollama), ask(ollama)];
    const refused = await Promise.race(others);
    expect(await refused.json()).toEqual({
      error: 'server busy, please try again.  maximum pending requests exceeded',
    });
    gate.open();
    const statuses = (await Promise.all([first, ...others])).map(({ status }) => status);
    expect(statuses.toSorted((a, b) => a - b)).toEqual([200, 200, 503]);
  });

  it('fails when told to, and succeeds after that', async () => {
    await using ollama = await ScriptedOllama.start();
    ollama.nextLoad({ error: 'llama runner process has terminated' });
    expect((await ask(ollama)).status).toBe(500);
    expect((await ask(ollama)).status).toBe(200);
    expect(ollama.ledger.loads.map(({ outcome }) => outcome)).toEqual(['failed', 'loaded']);
  });

  it('ends at once with keep_alive 0, and after its time with a short one', async () => {
    await using ollama = await ScriptedOllama.start();
    await ask(ollama, load());
    await ask(ollama, load({ keep_alive: 0 }));
    expect(ollama.ledger.unloads).toEqual(['tiny-chat:latest']);
    await ask(ollama, load({ keep_alive: '5ms' }));
    await ollama.ledger.until(({ unloads }) => unloads.length === 2);
  });
});
