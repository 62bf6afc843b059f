import { describe, expect, it } from 'vitest';
import { ScriptedOllama } from '../support/scripted-ollama/scripted-ollama.ts';
import { ask, read, SocketClient } from './client.ts';
import { CANARY, makeWorkFolder, ServiceProcess } from './service-process.ts';

const SAID = `One two ${CANARY}`;
const request = { conversation_id: 'c1', message: `Count, ${CANARY}!`, request_id: 'r1' };

describe('kill -9 in the middle of a reply', () => {
  it('loses nothing that a client has seen; the reply is interrupted, and the conversation goes on', async () => {
    await using ollama = await ScriptedOllama.start({ models: [{ name: 'llama3' }] });
    await using folder = await makeWorkFolder();
    const settings = { OLLAMA_BASE_URL: ollama.url };
    ollama.next([...SAID.split(/(?= )/).map((say) => ({ say })), { hang: true }]);

    let messageId: unknown;
    {
      await using service = await ServiceProcess.start(folder, settings);
      using client = new SocketClient(service.url);
      await client.send('llm_request', request);
      ({ message_id: messageId } = (await client.nextEvent('llm_accepted')).data);
      await client.next(() => client.text === SAID);
      expect(await service.stop('SIGKILL')).toMatchObject({ signal: 'SIGKILL' });
      expect(await client.closed).toBe(1006);
    }

    await using service = await ServiceProcess.start(folder, settings);
    expect(service.log).toContainEqual(expect.objectContaining({ count: 1, msg: expect.stringContaining('is kept') }));
    const conversation = await read(`${service.url}/conversations/c1`);
    expect(conversation.body).toMatchObject({ message_count: 2, active_reply: null });
    const { body } = await read(`${service.url}/conversations/c1/messages`);
    expect(body['messages']).toMatchObject([
      { role: 'user', content: request.message },
      { role: 'assistant', content: SAID, message_id: messageId, state: 'failed', error: { code: 'interrupted' } },
    ]);
    const reply = await read(`${service.url}/replies/${String(messageId)}`);
    expect(reply.body).toMatchObject({ state: 'failed', response: SAID, error: { code: 'interrupted' } });

    using client = new SocketClient(service.url);
    await client.send('llm_request', request); // the same request again finds the same reply
    expect((await client.nextEvent('llm_accepted')).data).toMatchObject({ message_id: messageId, duplicate: true });
    expect((await client.nextEvent('llm_error')).data).toMatchObject({ code: 'interrupted', response: SAID });
    expect(client.text).toBe(SAID);
    const next = await ask(service.url, { conversation_id: 'c1', user_input: 'And now?' });
    expect(next).toMatchObject({ status: 200, body: { model: 'llama3' } });
  });

  it('keeps all that was seen, also while words are on their way', async () => {
    await using ollama = await ScriptedOllama.start({ models: [{ name: 'llama3' }] });
    await using folder = await makeWorkFolder();
    const settings = { OLLAMA_BASE_URL: ollama.url };
    ollama.next('endless:1');
    let seen: string;
    {
      await using service = await ServiceProcess.start(folder, settings);
      using client = new SocketClient(service.url);
      await client.send('llm_request', request);
      await client.next(({ data }) => Number(data['seq']) >= 50);
      await service.stop('SIGKILL');
      await client.closed;
      seen = client.text;
    }
    await using service = await ServiceProcess.start(folder, settings);
    const { body } = await read(`${service.url}/conversations/c1/messages`);
    const [, { content }] = body['messages'] as [unknown, { content: string }];
    expect(content.slice(0, seen.length)).toBe(seen);
    expect(content).toMatch(/^\[\w+\]( \d+)+$/);
  });
});
