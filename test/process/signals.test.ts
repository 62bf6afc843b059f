import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config.ts';
import { openChatService } from '../../src/service.ts';
import { createGate, ScriptedOllama } from '../support/scripted-ollama/scripted-ollama.ts';
import { ask, read, SocketClient } from './client.ts';
import { CANARY, makeWorkFolder, ServiceProcess } from './service-process.ts';

const request = { conversation_id: 'c1', message: `Hello, ${CANARY}!` };
const startOllama = (): Promise<ScriptedOllama> => ScriptedOllama.start({ models: [{ name: 'llama3' }] });

describe.each(['SIGTERM', 'SIGINT'] as const)('%s', (signal) => {
  it('lets a running reply end, refuses new ones, says goodbye, and ends with 0', async () => {
    await using ollama = await startOllama();
    const gate = createGate();
    ollama.next([{ say: 'First' }, { waitFor: gate }, { say: ' and last.' }, { done: true }]);
    await using folder = await makeWorkFolder();
    await using service = await ServiceProcess.start(folder, { OLLAMA_BASE_URL: ollama.url });
    using client = new SocketClient(service.url);
    await client.send('llm_request', request);
    await client.nextEvent('llm_delta');

    service.kill(signal);
    await service.prints(/"msg":"stopping/);
    const refused = await ask(service.url, { conversation_id: 'c2', user_input: 'Hello!' });
    expect(refused).toMatchObject({ status: 503, body: { code: 'draining', retryable: true } });
    await client.send('llm_request', { ...request, conversation_id: 'c3' });
    expect((await client.nextEvent('llm_error')).data).toMatchObject({ code: 'draining', conversation_id: 'c3' });
    expect(await read(`${service.url}/health/ready`)).toMatchObject({ status: 503, body: { success: false } });

    gate.open();
    expect((await client.nextEvent('llm_response')).data).toMatchObject({ response: 'First and last.' });
    expect(await client.closed).toBe(1001);
    expect(await service.exited()).toEqual({ code: 0, signal: null });
    expect(service.log.at(-1)).toMatchObject({ msg: 'stopped' });
    expect(service.stderr).toBe('');
  });

  it('ends at once where nothing runs', async () => {
    await using folder = await makeWorkFolder();
    await using service = await ServiceProcess.start(folder);
    using client = new SocketClient(service.url);
    await client.send('ping', {});
    await client.nextEvent('pong');
    expect(await service.stop(signal)).toEqual({ code: 0, signal: null });
    expect(await client.closed).toBe(1001);
  });
});

describe('a second signal', () => {
  it('stops at once, unless it is the first one twice; what was said is kept', async () => {
    await using ollama = await startOllama();
    ollama.next('endless:50');
    await using folder = await makeWorkFolder();
    const settings = { OLLAMA_BASE_URL: ollama.url };
    {
      await using service = await ServiceProcess.start(folder, settings);
      using client = new SocketClient(service.url);
      await client.send('llm_request', request);
      await client.nextEvent('llm_delta');
      service.kill('SIGINT');
      await service.prints(/"msg":"stopping/);
      service.kill('SIGINT'); // as npm does after a Ctrl+C
      for (let token = 0; token < 20; token++) await client.nextEvent('llm_delta'); // a second of them
      service.kill('SIGINT');
      expect(await service.exited()).toEqual({ code: 1, signal: null });
    }
    await using service = await ServiceProcess.start(folder, settings);
    const { body } = await read(`${service.url}/conversations/c1/messages`);
    expect(body['messages']).toMatchObject([{ role: 'user' }, { state: 'failed', error: { code: 'interrupted' } }]);
  });
});

describe('under npm', () => {
  it('ends when the shell in between is gone, which passes no signal on', async () => {
    await using folder = await makeWorkFolder();
    await using service = await ServiceProcess.start(folder, { npm_lifecycle_event: 'start' });
    await service.stop('SIGTERM'); // of the shell; resolves when its child has closed the output, too
    expect(service.log.at(-1)).toMatchObject({ msg: 'stopped' });
  });
});

describe('a reply that outlasts the stop', () => {
  it('is ended as interrupted, with its text kept', async () => {
    await using ollama = await startOllama();
    ollama.next([{ say: 'First' }, { hang: true }]);
    await using folder = await makeWorkFolder();
    const settings = { OLLAMA_BASE_URL: ollama.url, DATA_DIR: folder.path, LOG_LEVEL: 'silent' };
    await using chat = await openChatService(parseConfig(settings));
    await chat.initialize();
    const updates = chat.streamResponse('c1', 'Hello!');
    for await (const update of updates) {
      if (update.type === 'entries') break;
    }
    await chat.drain(50);
    const page = await chat.listMessages('c1');
    expect(page).toMatchObject({
      messages: [{ role: 'user' }, { content: 'First', outcome: { failure: { code: 'interrupted' } } }],
    });
  });
});
