import { describe, expect, it } from 'vitest';
import { RunningService } from '../../support/running-service.ts';
import { ScriptedOllama } from '../../support/scripted-ollama/scripted-ollama.ts';

/** Several hosts, as the wire tells them. */

const start = (first: ScriptedOllama, second: ScriptedOllama, settings = {}): Promise<RunningService> =>
  RunningService.start({
    ollama: first,
    settings: { OLLAMA_BASE_URL: `${first.url},${second.url}`, LLM_CONCURRENCY: '3', ...settings },
  });

describe('GET /models', () => {
  it('has one entry for a model, with all hosts that have it', async () => {
    await using first = await ScriptedOllama.start({ models: [{ name: 'tiny-chat' }] });
    await using second = await ScriptedOllama.start({ models: [{ name: 'tiny-chat' }, { name: 'tiny-plain' }] });
    await using service = await start(first, second);
    await service.call('/generate_response', { body: { conversation_id: 'c1', user_input: 'hello' } });
    expect((await service.call('/models')).body).toMatchObject({
      models: [
        {
          name: 'tiny-chat:latest',
          host: first.url,
          loaded: true,
          hosts: [
            { host: first.url, loaded: true },
            { host: second.url, loaded: false },
          ],
        },
        { name: 'tiny-plain:latest', host: second.url, loaded: false, hosts: [{ host: second.url, loaded: false }] },
      ],
    });
  });
});

describe('GET /health', () => {
  it('tells how each host is, what it has, and what it does', async () => {
    await using first = await ScriptedOllama.start({ version: '0.33.0' });
    await using second = await ScriptedOllama.start({ models: [{ name: 'other' }] });
    await using service = await start(first, second);
    await service.call('/generate_response', { body: { conversation_id: 'c1', user_input: 'hello' } });
    const { body } = await service.call('/health');
    expect(body).toMatchObject({ status: 'ok', backend: { status: 'up', host: first.url } });
    expect(body['backend']).toMatchObject({
      hosts: [
        {
          host: first.url,
          status: 'up',
          version: '0.33.0',
          models: ['tiny-chat:latest', 'tiny-plain:latest', 'tiny-vision:latest'],
          loaded: ['tiny-chat:latest'],
          running: 0,
          slots: 3,
        },
        { host: second.url, status: 'up', models: ['other:latest'], loaded: [], running: 0, slots: 3 },
      ],
    });
  });

  it('is degraded while a host is down, and says which and what to do', async () => {
    await using first = await ScriptedOllama.start();
    await using second = await ScriptedOllama.start();
    await using service = await start(first, second);
    await second.kill();
    const { status, body } = await service.call('/health');
    expect(status).toBe(200);
    expect(body).toMatchObject({
      status: 'degraded',
      backend: {
        status: 'up',
        hint: expect.stringContaining(second.url),
        hosts: [{ status: 'up' }, { status: 'down' }],
      },
    });
    expect(JSON.stringify(body)).toContain('ollama serve');
  });

  it('says what to do when no host has LLM_MODEL', async () => {
    await using first = await ScriptedOllama.start({ models: [{ name: 'one' }] });
    await using second = await ScriptedOllama.start({ models: [{ name: 'two' }] });
    await using service = await start(first, second);
    expect((await service.call('/health')).body).toMatchObject({
      status: 'degraded',
      backend: { hint: expect.stringMatching(/one, two\..*ollama pull tiny-chat/) },
    });
  });

  it('names hosts by their places in production', async () => {
    await using first = await ScriptedOllama.start();
    await using second = await ScriptedOllama.start();
    await using service = await start(first, second, { NODE_ENV: 'production' });
    await second.kill();
    const { text, body } = await service.call('/health');
    expect(body).toMatchObject({ backend: { hosts: [{ host: 'host-1' }, { host: 'host-2', status: 'down' }] } });
    expect(text).not.toContain('127.0.0.1');
  });
});

describe('GET /metrics', () => {
  it('has figures of each host', async () => {
    await using first = await ScriptedOllama.start();
    await using second = await ScriptedOllama.start();
    await using service = await start(first, second);
    await second.kill();
    await service.call('/health');
    const { text } = await service.call('/metrics');
    expect(text).toContain(`llm_host_up{host="${first.url}"} 1`);
    expect(text).toContain(`llm_host_up{host="${second.url}"} 0`);
    expect(text).toContain(`llm_host_running{host="${first.url}"} 0`);
  });
});
