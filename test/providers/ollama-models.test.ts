import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { createGate } from '../support/scripted-ollama/scripted-ollama.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import { OllamaRig } from './ollama-rig.ts';

const rigs: OllamaRig[] = [];

const open = async (...options: Parameters<typeof OllamaRig.open>): Promise<OllamaRig> => {
  const rig = await OllamaRig.open(...options);
  rigs.push(rig);
  return rig;
};

afterEach(async () => {
  for (const rig of rigs.splice(0)) await rig[Symbol.asyncDispose]();
});

describe('finding a model', () => {
  it.each(['tiny-chat', 'tiny-chat:latest', 'Tiny-Chat', 'library/tiny-chat', 'registry.ollama.ai/library/tiny-chat'])(
    'takes %s for what Ollama takes it for',
    async (name) => {
      const rig = await open();
      expect(await rig.provider.findModel(name)).toStrictEqual({
        name: 'tiny-chat:latest',
        provider: 'ollama',
        host: rig.ollama.url,
        hosts: [{ host: rig.ollama.url, loaded: false }],
        loaded: false,
        contextWindow: 2048,
        capabilities: ['completion', 'tools', 'thinking'],
      });
    },
  );

  it('gives the configured window where the model was trained with a longer one', async () => {
    const rig = await open({ contextWindow: 1024 });
    expect((await rig.provider.findModel('tiny-plain')).contextWindow).toBe(1024);
  });

  it('knows whether it is loaded', async () => {
    const rig = await open();
    await rig.warm();
    expect((await rig.provider.findModel('tiny-chat')).loaded).toBe(true);
    expect((await rig.provider.findModel('tiny-plain')).loaded).toBe(false);
  });

  it('that is not there names the models there are and the command to type', async () => {
    const rig = await open();
    const found = rig.provider.findModel('llama3');
    await expect(found).rejects.toMatchObject({ code: 'model_not_found' });
    await expect(found).rejects.toThrow(/tiny-chat, tiny-plain, tiny-vision.*ollama pull llama3/);
  });

  it('says so when the host has no model yet', async () => {
    const rig = await open({ ollama: { models: [] } });
    await expect(rig.provider.findModel('llama3')).rejects.toThrow(/none yet.*ollama pull llama3/);
  });

  it('finds one that was pulled a moment ago', async () => {
    const rig = await open();
    await expect(rig.provider.findModel('llama3')).rejects.toMatchObject({ code: 'model_not_found' });
    rig.ollama.addModel({ name: 'llama3' });
    expect((await rig.provider.findModel('llama3')).name).toBe('llama3:latest');
  });

  it('asks for the list once for many at a time, and for the details once per digest', async () => {
    const rig = await open();
    await Promise.all(Array.from({ length: 20 }, () => rig.provider.findModel('tiny-chat')));
    await rig.provider.findModel('tiny-chat');
    expect(rig.ollama.ledger.requestsTo('/api/tags')).toHaveLength(1);
    expect(rig.ollama.ledger.requestsTo('/api/show')).toHaveLength(1);
  });

  it('sees a model that was replaced after two seconds', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock });
    await rig.provider.findModel('tiny-plain');
    rig.ollama.addModel({ name: 'tiny-plain', digest: 'f'.repeat(64), capabilities: ['completion', 'vision'] });
    await clock.advance(2_100);
    expect((await rig.provider.findModel('tiny-plain')).capabilities).toStrictEqual(['completion', 'vision']);
  });

  it('believes what it knew when the host has just gone, and no longer than a minute', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock });
    await rig.provider.findModel('tiny-chat');
    await clock.advance(600_000);
    await rig.ollama.kill();
    expect((await rig.provider.findModel('tiny-chat')).contextWindow).toBe(2048);
    expect((await rig.ask()).error).toMatchObject({ code: 'backend_unavailable', transient: true });
    await clock.advance(61_000);
    await expect(rig.provider.findModel('tiny-chat')).rejects.toMatchObject({ code: 'backend_unavailable' });
  });

  it('is backend_unavailable when nothing answers, and when what answers is silent', async () => {
    const clock = new VirtualClock();
    const rig = await open({ clock });
    rig.ollama.hang('/api/tags');
    const found = rig.provider.findModel('tiny-chat').catch((error: unknown) => error);
    await rig.ollama.ledger.until(({ entries }) => entries.some(({ path }) => path === '/api/tags'));
    await clock.advance(5_200);
    expect(await found).toMatchObject({ code: 'backend_unavailable', transient: true });
    await rig.ollama.kill();
    await expect(rig.provider.findModel('tiny-chat')).rejects.toThrow('`ollama serve`');
  });

  it('ends the chat of a model that was deleted with model_not_found', async () => {
    const rig = await open();
    await rig.warm();
    rig.ollama.removeModel('tiny-chat');
    const { error } = await rig.ask();
    expect(error).toMatchObject({ code: 'model_not_found' });
    expect(String(error)).toMatch(/It has: tiny-plain, tiny-vision\..*ollama pull tiny-chat/);
  });
});

describe('a host that redirects', () => {
  it('is not followed; the error says which setting to change', async () => {
    const rig = await open();
    rig.ollama.fail('/api/tags', { status: 302, body: '', headers: { Location: `${rig.ollama.url}/api/version` } });
    await expect(rig.provider.findModel('tiny-chat')).rejects.toThrow(/OLLAMA_BASE_URL/);
    expect(rig.ollama.ledger.requestsTo('/api/version')).toHaveLength(0);
  });
});

describe('all models', () => {
  it('are listed with window, capabilities and whether they are loaded', async () => {
    const rig = await open();
    await rig.warm({ model: 'tiny-plain' });
    const models = await rig.provider.listModels();
    expect(models.map(({ name, loaded, capabilities }) => [name, loaded, capabilities])).toStrictEqual([
      ['tiny-chat:latest', false, ['completion', 'tools', 'thinking']],
      ['tiny-plain:latest', true, ['completion']],
      ['tiny-vision:latest', false, ['completion', 'vision']],
    ]);
  });

  it('are listed by the list’s own word where the details fail', async () => {
    const rig = await open();
    rig.ollama.fail('/api/show', { status: 500 });
    expect((await rig.provider.listModels())[0]).toMatchObject({ contextWindow: 2048 });
  });

  it('are none when nothing answers', async () => {
    const rig = await open();
    await rig.ollama.kill();
    expect(await rig.provider.listModels()).toStrictEqual([]);
    expect(rig.warnings).toHaveLength(1);
  });
});

describe('the health of a host', () => {
  it('is up with its version', async () => {
    const rig = await open({ ollama: { version: '0.33.0' } });
    await rig.warm();
    const host = rig.ollama.url;
    const models = ['tiny-chat:latest', 'tiny-plain:latest', 'tiny-vision:latest'];
    expect(await rig.provider.health()).toStrictEqual({
      status: 'up',
      host,
      version: '0.33.0',
      hosts: [{ host, status: 'up', version: '0.33.0', models, loaded: ['tiny-chat:latest'] }],
    });
  });

  it('is down with what to do about it', async () => {
    const rig = await open();
    await rig.ollama.kill();
    expect(await rig.provider.health()).toMatchObject({
      status: 'down',
      hint: expect.stringContaining('ollama serve'),
    });
  });

  it('is down with the settings that matter when the host refuses our address', async () => {
    const rig = await open();
    rig.ollama.fail('/api/version', { status: 403, body: '' });
    expect(await rig.provider.health()).toMatchObject({ status: 'down', hint: expect.stringContaining('OLLAMA_HOST') });
  });
});

describe('the base URL', () => {
  it('may have a path, a trailing slash and credentials, which are sent and never shown', async () => {
    const seen: Pick<IncomingMessage, 'url' | 'headers'>[] = [];
    const server = createServer(({ url, headers }, response) => {
      seen.push({ url: url ?? '', headers });
      response.end(url?.endsWith('/api/tags') ? '{"models":[{"name":"a:latest","digest":"d"}]}' : '{"done":true}');
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    const rig = await open({ baseUrl: `http://me:s%40cret@127.0.0.1:${port}/ollama/` });
    const { host } = await rig.provider.health();
    await rig.ask({ model: 'a' });
    server.close().closeAllConnections();
    const { error } = await rig.ask({ model: 'a' });
    expect(host).toBe(`http://127.0.0.1:${port}/ollama`);
    expect(new Set(seen.map(({ url }) => url))).toStrictEqual(
      new Set(['version', 'tags', 'show', 'ps', 'chat'].map((path) => `/ollama/api/${path}`)),
    );
    const authorization = `Basic ${Buffer.from('me:s@cret').toString('base64')}`;
    expect(seen.every(({ headers }) => headers.authorization === authorization)).toBe(true);
    expect(String(error)).not.toMatch(/s@cret|s%40cret|me:/);
  });

  it('may lead to a host that accepts a connection and says nothing: an abort ends it all the same', async () => {
    const gate = createGate();
    const server = createServer(() => void gate.wait());
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const address = server.address();
    const rig = await open({ baseUrl: `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}` });
    const controller = new AbortController();
    const heard = rig.ask({}, controller.signal);
    await gate.reached;
    controller.abort('gone');
    expect((await heard).error).toBe('gone');
    server.close().closeAllConnections();
  });
});
