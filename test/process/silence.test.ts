import { describe, expect, it } from 'vitest';
import { ScriptedOllama } from '../support/scripted-ollama/scripted-ollama.ts';
import { ask, SocketClient } from './client.ts';
import { CANARY, KEY, makeWorkFolder, ServiceProcess } from './service-process.ts';

// Every other test in this folder looks for the same: see the end of `ServiceProcess`.
describe('the log, even at its loudest', () => {
  it('holds neither what people said nor keys, whatever goes wrong', async () => {
    await using ollama = await ScriptedOllama.start({
      models: [{ name: 'llama3', capabilities: ['completion', 'thinking'] }],
    });
    await using folder = await makeWorkFolder();
    await folder.writeEnv(`API_KEYS=${KEY}\nLLM_SYSTEM_PROMPT=You are a ${CANARY}.\n`);
    const settings = { OLLAMA_BASE_URL: ollama.url, LOG_LEVEL: 'trace', LLM_MAX_RETRIES: '0' };
    await using service = await ServiceProcess.start(folder, settings);
    const said = { conversation_id: CANARY, user_input: `I am a ${CANARY}.`, metadata: { [CANARY]: CANARY } };
    const headers = { authorization: `Bearer ${KEY}`, 'x-request-id': CANARY, cookie: `${CANARY}=${CANARY}` };
    const send = (body: object): ReturnType<typeof ask> => ask(service.url, body, headers);

    ollama.next([{ think: `${CANARY}?` }, { say: `Yes, ${CANARY}.` }, { done: true }]);
    expect(await send({ ...said, system_prompt: `A ${CANARY} speaks.`, think: true })).toMatchObject({
      status: 200,
      body: { response: `Yes, ${CANARY}.`, metadata: { [CANARY]: CANARY } },
    });
    ollama.next([{ say: CANARY }, { error: `no ${CANARY} today` }]);
    expect(await send(said)).toMatchObject({ body: { success: false } });
    ollama.next([{ status: 500, body: JSON.stringify({ error: `no ${CANARY} at all` }) }]);
    expect(await send(said)).toMatchObject({ body: { success: false } });
    ollama.next([{ write: `{"${CANARY}": ` }, { reset: true }]);
    expect(await send(said)).toMatchObject({ body: { success: false } });
    ollama.next([{ write: `${CANARY}\n` }, { end: true }]);
    expect(await send(said)).toMatchObject({ body: { success: false } });

    expect(await send({ ...said, [CANARY]: CANARY })).toMatchObject({ status: 400 });
    expect(await send({ ...said, model: CANARY })).toMatchObject({ status: 404 });
    expect(await send({ ...said, tools: [CANARY] })).toMatchObject({ status: 400 });
    expect(await send({ ...said, user_input: CANARY.repeat(20_000) })).toMatchObject({ status: 413 });
    expect(await ask(service.url, said, { authorization: `Bearer alice.${CANARY}` })).toMatchObject({ status: 401 });
    expect(await ask(service.url, said, { origin: `http://${CANARY}.example` })).toMatchObject({ status: 403 });
    await fetch(`${service.url}/${CANARY}?${CANARY}=${CANARY}`, { headers });
    await fetch(`${service.url}/generate_response`, { method: 'POST', headers, body: `{"${CANARY}"` });
    await fetch(`${service.url}/generate_response`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: `{"${CANARY}": ${CANARY}`,
    });

    using client = new SocketClient(service.url, ['llm-chat.v1', `bearer.${KEY}`]);
    await client.send(CANARY, { [CANARY]: CANARY });
    await client.nextEvent('llm_error');
    ollama.next([{ say: CANARY }, { hang: true }]);
    await client.send('llm_request', { conversation_id: 'c2', message: CANARY, request_id: CANARY });
    await client.nextEvent('llm_delta');
    await client.send('llm_cancel', { conversation_id: 'c2', request_id: CANARY });
    await client.nextEvent('llm_response');

    expect(await service.stop()).toMatchObject({ code: 0 });
    expect(service.log.filter(({ msg }) => msg === 'reply ended').length).toBeGreaterThanOrEqual(4);
  });
});
