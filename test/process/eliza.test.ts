import { describe, expect, it } from 'vitest';
import { ScriptedOllama } from '../support/scripted-ollama/scripted-ollama.ts';
import { ask, read } from './client.ts';
import { findFreePort, makeWorkFolder, ServiceProcess } from './service-process.ts';

const question = (conversation_id: string): object => ({ conversation_id, user_input: 'Hello!' });

describe('ELIZA', () => {
  it('answers until Ollama comes, and never goes on with what a real model has begun', async () => {
    const port = await findFreePort();
    const settings = { OLLAMA_BASE_URL: `http://127.0.0.1:${port}`, LLM_MAX_RETRIES: '0', LLM_TIMEOUT: '1' };
    await using folder = await makeWorkFolder();
    {
      await using service = await ServiceProcess.start(folder, settings);
      expect((await ask(service.url, question('c1'))).body).toMatchObject({ model: 'eliza' });
      expect((await read(`${service.url}/health`)).body).toMatchObject({
        status: 'degraded',
        fallback: 'eliza',
        backend: { status: 'down', hint: expect.stringContaining('ollama serve') },
      });

      await using ollama = await ScriptedOllama.start({ port, models: [{ name: 'llama3' }] });
      expect((await ask(service.url, question('c1'))).body).toMatchObject({ model: 'llama3' });
      const { body } = await read(`${service.url}/health`);
      expect(body).toMatchObject({ status: 'ok', backend: { status: 'up' } });
      expect(body).not.toHaveProperty('fallback');

      await ollama.kill();
      const gone = { status: 503, body: { code: 'backend_unavailable' } };
      expect(await ask(service.url, question('c1'))).toMatchObject(gone);
      expect(await ask(service.url, question('c2'))).toMatchObject(gone); // Ollama was there: it is only away
    }

    await using service = await ServiceProcess.start(folder, settings);
    expect((await ask(service.url, question('c3'))).body).toMatchObject({ model: 'eliza' });
    expect(await ask(service.url, question('c1'))).toMatchObject({ body: { code: 'backend_unavailable' } });
    expect(await ask(service.url, { ...question('c1'), model: 'eliza' })).toMatchObject({ status: 404 });
    const named = await ask(service.url, { ...question('c4'), model: 'llama3' });
    expect(named).toMatchObject({ status: 503, body: { code: 'backend_unavailable', retryable: true } });
  });

  it('is not there in production', async () => {
    await using folder = await makeWorkFolder();
    await using service = await ServiceProcess.start(folder, { NODE_ENV: 'production', LLM_MAX_RETRIES: '0' });
    expect(await ask(service.url, question('c1'))).toMatchObject({
      status: 503,
      body: { code: 'backend_unavailable' },
    });
    expect(await ask(service.url, { ...question('c1'), model: 'eliza' })).toMatchObject({ status: 404 });
    expect((await read(`${service.url}/models`)).body).toMatchObject({ models: [] });
    expect((await read(`${service.url}/health`)).body).not.toHaveProperty('fallback');
    expect(service.stdout.toLowerCase()).not.toContain('eliza');
  });
});
