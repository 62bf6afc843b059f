import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ask, read, SocketClient } from '../process/client.ts';
import { CANARY, findFreePort, makeWorkFolder, ServiceProcess, type WorkFolder } from '../process/service-process.ts';
import { DURABLE, hasRedisServer, startRedisServer } from '../support/redis-server.ts';
import { ScriptedOllama } from '../support/scripted-ollama/scripted-ollama.ts';

/** A lease of four seconds, a look each half second, and a little for a busy machine. */
const SECONDS_MS = 8_000;
const TIMEOUT_MS = 60_000;

let opened: AsyncDisposableStack;
let folder: WorkFolder;
beforeEach(async () => {
  opened = new AsyncDisposableStack();
  folder = opened.use(await makeWorkFolder());
});
afterEach(() => opened.disposeAsync());

describe.skipIf(!hasRedisServer)('an instance that is killed with -9', { timeout: TIMEOUT_MS }, () => {
  it('is survived by what its replies have said: another ends them, and frees conversation and caller', async () => {
    const { ollama, settings } = await openSurroundings({ LLM_MAX_CONCURRENT: '2' });
    const doomed = opened.use(await ServiceProcess.start(folder, settings));
    const other = opened.use(await ServiceProcess.start(folder, settings));
    const conversations = ['c1', 'c2'];
    const watchers: SocketClient[] = [];
    for (const conversation_id of conversations) {
      ollama.next([{ say: 'One' }, { say: ' two' }, { hang: true }]);
      using client = new SocketClient(doomed.url);
      await client.send('llm_request', { conversation_id, message: 'Count!' });
      await client.next(() => client.text === 'One two');
      const watcher = new SocketClient(other.url);
      opened.use(watcher);
      await watcher.send('llm_resume', { message_id: client.frames[0]?.data['message_id'], seq: 0 });
      await watcher.next(() => watcher.text === 'One two');
      watchers.push(watcher);
    }
    const next = { conversation_id: 'c1', user_input: 'And now?' };
    expect((await ask(other.url, next)).body).toMatchObject({ code: 'conversation_busy' });
    expect((await ask(other.url, { ...next, conversation_id: 'c3' })).body).toMatchObject({ code: 'rate_limited' });

    await doomed.stop('SIGKILL');
    const killedAt = performance.now();
    for (const watcher of watchers) {
      const { data } = await watcher.nextEvent('llm_error');
      expect(data).toMatchObject({
        code: 'interrupted',
        retryable: true,
        response: 'One two',
        seq: expect.any(Number),
      });
      expect(watcher.text).toBe('One two');
    }
    for (const conversation_id of conversations) {
      await expect
        .poll(async () => ask(other.url, { ...next, conversation_id }), { timeout: 5_000 })
        .toMatchObject({
          status: 200,
        });
      const { body } = await read(`${other.url}/conversations/${conversation_id}`);
      expect(body).toMatchObject({ active_reply: null, message_count: 4 });
    }
    expect(performance.now() - killedAt).toBeLessThan(SECONDS_MS);
  });
});

describe.skipIf(!hasRedisServer)('an instance that is stopped', { timeout: TIMEOUT_MS }, () => {
  it('closes its sockets with 1012; who comes back to another hears the rest', async () => {
    const { ollama, settings } = await openSurroundings();
    const writer = opened.use(await ServiceProcess.start(folder, settings));
    const stopped = opened.use(await ServiceProcess.start(folder, settings));
    const waiting = Promise.withResolvers<void>();
    ollama.next([{ say: 'One' }, { waitFor: waiting.promise }, { say: ' two' }, { done: true }]);
    using first = new SocketClient(writer.url);
    await first.send('llm_request', { conversation_id: 'c1', message: 'Count!' });
    const { message_id } = (await first.nextEvent('llm_accepted')).data;
    using watcher = new SocketClient(stopped.url);
    await watcher.send('llm_resume', { message_id, seq: 0 });
    const { data } = await watcher.nextEvent('llm_delta');
    expect(await stopped.stop('SIGTERM')).toMatchObject({ code: 0 });
    expect(await watcher.closed).toBe(1012);
    waiting.resolve();
    using again = new SocketClient(writer.url);
    await again.send('llm_resume', { message_id, seq: data['seq'] });
    expect((await again.nextEvent('llm_response')).data).toMatchObject({ response: 'One two' });
    expect(again.text).toBe(' two');
  });
});

describe.skipIf(!hasRedisServer)('a start', { timeout: TIMEOUT_MS }, () => {
  it('without the Redis that it is told of says so in one line, without a password, and exits with 1', async () => {
    const REDIS_URL = `redis://someone:${CANARY}@127.0.0.1:${await findFreePort()}`;
    const service = opened.use(await ServiceProcess.spawn(folder, { REDIS_URL }));
    expect(await service.exited()).toMatchObject({ code: 1 });
    expect(service.stderr).toMatch(/^Redis at 127\.0\.0\.1:\d+ .*ECONNREFUSED.* REDIS_URL .*\n$/);
    expect(service.stdout).toBe('');
  });

  it('with a wrong password says so, without it', async () => {
    const redis = opened.use(await startRedisServer('--requirepass', 'right'));
    const REDIS_URL = `redis://:${CANARY}@127.0.0.1:${redis.port}`;
    const service = opened.use(await ServiceProcess.spawn(folder, { REDIS_URL }));
    expect(await service.exited()).toMatchObject({ code: 1 });
    expect(service.stderr).toMatch(/^Redis at 127\.0\.0\.1:\d+ .*WRONGPASS.*\n$/);
  });

  it('logs once what is at risk in Redis, and nothing where nothing is', async () => {
    const risky = opened.use(await startRedisServer('--maxmemory-policy', 'allkeys-lru'));
    const service = opened.use(await ServiceProcess.start(folder, { REDIS_URL: risky.url }));
    expect(risksOf(service)).toStrictEqual([
      expect.stringContaining('maxmemory-policy noeviction'),
      expect.stringContaining('appendonly yes'),
    ]);
    const safe = opened.use(await startRedisServer(...DURABLE));
    const other = opened.use(await ServiceProcess.start(folder, { REDIS_URL: safe.url }));
    expect(risksOf(other)).toStrictEqual([]);
  });

  it('of instances with different settings: each keeps its own, and both go on with one conversation', async () => {
    const { ollama, settings } = await openSurroundings();
    const one = opened.use(await ServiceProcess.start(folder, { ...settings, LLM_MAX_TOKENS: '100' }));
    ollama.addModel({ name: 'other' });
    const two = opened.use(
      await ServiceProcess.start(folder, { ...settings, LLM_MODEL: 'other', LLM_RATE_LIMIT: '2' }),
    );
    const request = { conversation_id: 'c1', user_input: 'Count!' };
    expect((await ask(one.url, request)).body).toMatchObject({ success: true, model: 'llama3' });
    expect((await ask(two.url, request)).body).toMatchObject({ success: true, model: 'other' });
    expect((await ask(two.url, request)).body).toMatchObject({ code: 'rate_limited', limit: 2 });
    expect((await ask(one.url, { ...request, max_tokens: 101 })).body).toMatchObject({ code: 'invalid_request' });
    expect((await ask(one.url, request)).body).toMatchObject({ success: true, model: 'llama3' });
    const { body } = await read(`${two.url}/conversations/c1`);
    expect(body).toMatchObject({ message_count: 6 });
  });
});

const openSurroundings = async (more: Readonly<Record<string, string>> = {}) => {
  const redis = opened.use(await startRedisServer(...DURABLE));
  const ollama = opened.use(await ScriptedOllama.start({ models: [{ name: 'llama3' }], parallel: 8 }));
  const settings = { REDIS_URL: redis.url, OLLAMA_BASE_URL: ollama.url, LLM_CONCURRENCY: '8', ...more };
  return { redis, ollama, settings };
};

const risksOf = ({ log }: ServiceProcess): readonly unknown[] =>
  log.flatMap(({ risk }) => (risk === undefined ? [] : [risk]));
