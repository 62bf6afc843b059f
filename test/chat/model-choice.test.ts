import { describe, expect, it } from 'vitest';
import { openChatRig } from '../support/chat-service.ts';

/** Which model answers: what may be named, what is there, and ELIZA until there is an Ollama. */

describe('a model', () => {
  it('may be named when it is offered, with or without its tag', async () => {
    await using rig = await openChatRig({ settings: { LLM_MODELS: 'tiny-plain' } });
    for (const model of ['tiny-plain', 'tiny-plain:latest', 'tiny-chat', 'TINY-CHAT']) {
      expect(await rig.chat.generateResponse('c1', 'hello', { model })).toMatchObject({ success: true, model });
    }
    expect(await rig.chat.generateResponse('c1', 'hello', { model: 'tiny-vision' })).toMatchObject({
      code: 'model_not_found',
      error: expect.stringContaining('tiny-chat, tiny-plain'),
    });
  });

  it('that the host does not have is told with those that it has, and the command to type', async () => {
    await using rig = await openChatRig({ settings: { LLM_MODEL: 'llama3' } });
    const answer = await rig.chat.generateResponse('c1', 'hello');
    expect(answer).toMatchObject({ success: false, code: 'model_not_found', retryable: false });
    expect(answer).toMatchObject({ error: expect.stringContaining('ollama pull llama3') });
    expect(answer).toMatchObject({ error: expect.stringContaining('tiny-chat') });
    expect(answer).not.toHaveProperty('messageId');
  });

  it('of a conversation answers when a request names none', async () => {
    await using rig = await openChatRig({ settings: { LLM_MODELS: 'tiny-plain' } });
    await rig.chat.createConversation('c1', undefined, { model: 'tiny-plain' });
    expect(await rig.chat.generateResponse('c1', 'hello')).toMatchObject({ model: 'tiny-plain' });
    expect(await rig.chat.generateResponse('c1', 'hello', { model: 'tiny-chat' })).toMatchObject({
      model: 'tiny-chat',
    });
  });

  it.each([
    [{ model: 'tiny-plain', think: true }, 'cannot think'],
    [{ model: 'tiny-chat', images: ['aGVsbG8='] }, 'cannot see images'],
  ])('is not asked for what it cannot do: %j', async (options, words) => {
    await using rig = await openChatRig({ settings: { LLM_MODELS: 'tiny-plain' } });
    const answer = await rig.chat.generateResponse('c1', 'hello', options);
    expect(answer).toMatchObject({ code: 'unsupported', error: expect.stringContaining(words) });
    expect(rig.ollama.ledger.chats).toHaveLength(0);
  });

  it('gets images as they were given, also later in the conversation', async () => {
    await using rig = await openChatRig({ settings: { LLM_MODEL: 'tiny-vision' } });
    await rig.chat.generateResponse('c1', 'what is it?', { images: ['aGVsbG8='] });
    await rig.chat.generateResponse('c1', 'and now?');
    expect(rig.ollama.ledger.chats[1]?.body).toMatchObject({
      messages: [{ role: 'system' }, { images: ['aGVsbG8='] }, { role: 'assistant' }, { content: 'and now?' }],
    });
  });

  it('does not think unless it is asked to, and its thoughts are not sent to it again', async () => {
    await using rig = await openChatRig();
    await rig.chat.generateResponse('c1', 'one');
    const thoughtful = await rig.chat.generateResponse('c1', 'two', { think: true });
    await rig.chat.generateResponse('c1', 'three');
    expect(rig.ollama.ledger.chats.map(({ body }) => body)).toMatchObject([
      { think: false },
      { think: true },
      { think: false },
    ]);
    const page = await rig.chat.listMessages('c1');
    const thinking = page.success && page.messages[3]?.role === 'assistant' && page.messages[3].thinking;
    expect(thinking).toMatch(/\S/);
    expect(thoughtful).toMatchObject({ success: true, response: expect.not.stringContaining(String(thinking)) });
    expect(rig.ollama.ledger.chats[2]?.prompt).not.toContain(thinking);
  });

  it('thinks by default where the service is told so, but not for structured answers', async () => {
    await using rig = await openChatRig({ settings: { LLM_THINK: 'true' } });
    await rig.chat.generateResponse('c1', 'one');
    await rig.chat.generateResponse('c1', 'two', { format: 'json' });
    await rig.chat.generateResponse('c1', 'three', { think: false });
    expect(rig.ollama.ledger.chats.map(({ body }) => body)).toMatchObject([
      { think: true },
      { think: false },
      { think: false },
    ]);
  });
});

describe('ELIZA', () => {
  it('answers until an Ollama does, and never after', async () => {
    await using rig = await openChatRig({ settings: { LLM_TIMEOUT: '0.5' } });
    await rig.ollama.kill();
    expect(await rig.chat.generateResponse('c1', 'hello')).toMatchObject({ success: true, model: 'eliza' });
    expect(await rig.chat.listModels()).toMatchObject({ models: [{ name: 'eliza' }] });
    expect(await rig.chat.health()).toMatchObject({
      status: 'degraded',
      fallback: 'eliza',
      backend: { hint: expect.any(String) },
    });
    await rig.ollama.restart();
    expect(await rig.chat.generateResponse('c1', 'hello')).toMatchObject({ success: true, model: 'tiny-chat' });
    expect(await rig.chat.health()).toMatchObject({ status: 'ok', backend: { status: 'up' } });
    await rig.ollama.kill();
    expect(await rig.chat.generateResponse('c2', 'hello', { requestId: 'r1' })).toMatchObject({ success: false });
  });

  it('does not answer who names a model, but may be named itself', async () => {
    await using rig = await openChatRig();
    await rig.ollama.kill();
    expect(await rig.chat.generateResponse('c1', 'hello', { model: 'tiny-chat' })).toMatchObject({
      code: 'backend_unavailable',
    });
    expect(await rig.chat.generateResponse('c1', 'hello', { model: 'eliza' })).toMatchObject({ model: 'eliza' });
    await rig.ollama.restart();
    await rig.chat.health();
    expect(await rig.chat.generateResponse('c1', 'hello', { model: 'eliza' })).toMatchObject({
      code: 'model_not_found',
    });
  });

  it('does not go on with what a real model has begun', async () => {
    await using rig = await openChatRig();
    await rig.chat.generateResponse('c1', 'hello');
    await rig.ollama.kill();
    const chat = await rig.reopen(); // a new process has not heard of Ollama
    expect(await chat.generateResponse('c1', 'hello')).toMatchObject({ code: 'backend_unavailable', retryable: true });
    expect(await chat.generateResponse('c2', 'hello')).toMatchObject({ model: 'eliza' });
  });

  it('is not there in production, where callers do not learn the address of the host either', async () => {
    await using rig = await openChatRig({ settings: { NODE_ENV: 'production' } });
    await rig.ollama.kill();
    const answer = await rig.chat.generateResponse('c1', 'hello');
    expect(answer).toMatchObject({ code: 'backend_unavailable' });
    expect(JSON.stringify(answer)).not.toContain(String(rig.ollama.port));
    expect(await rig.chat.listModels()).toMatchObject({ models: [] });
  });
});
