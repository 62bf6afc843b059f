import { describe, expect, it } from 'vitest';
import type { LLMChatService } from '../../src/chat/llm-chat-service.ts';
import type { Accepted, ChatUpdate, Result } from '../../src/chat/results.ts';
import { createGate } from '../support/scripted-ollama/scripted-ollama.ts';
import { openChatRig } from '../support/chat-service.ts';

/** The service object of the reference API, without a wire: what is asked of it, and what it left open. */

const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

describe('createConversation', () => {
  it('answers with an empty conversation and its times', async () => {
    await using rig = await openChatRig();
    const answer = await rig.chat.createConversation('c1', 'You are brief.');
    expect(answer).toMatchObject({ success: true, conversationId: 'c1', messages: [], systemPrompt: 'You are brief.' });
    expect(answer).toMatchObject({
      createdAt: expect.stringMatching(RFC_3339),
      updatedAt: expect.stringMatching(RFC_3339),
    });
  });

  it('refuses an id that exists, and leaves what is there', async () => {
    await using rig = await openChatRig();
    await rig.chat.createConversation('c1', 'First.');
    expect(await rig.chat.createConversation('c1', 'Second.')).toMatchObject({
      success: false,
      code: 'conversation_exists',
      retryable: false,
      conversationId: 'c1',
    });
    expect(await rig.chat.getConversation('c1')).toMatchObject({ systemPrompt: 'First.' });
  });

  it('refuses an empty id, and a model that is not offered', async () => {
    await using rig = await openChatRig();
    expect(await rig.chat.createConversation('')).toMatchObject({ success: false, code: 'invalid_request' });
    expect(await rig.chat.createConversation('c1', undefined, { model: 'gpt-9' })).toMatchObject({
      code: 'model_not_found',
    });
  });

  it('keeps owners apart: the same id is another conversation', async () => {
    await using rig = await openChatRig();
    await rig.chat.createConversation('c1', 'Of Ann.', { owner: 'ann' });
    expect(await rig.chat.createConversation('c1', 'Of Bob.', { owner: 'bob' })).toMatchObject({ success: true });
    expect(await rig.chat.getConversation('c1', { owner: 'cy' })).toMatchObject({ success: false, code: 'not_found' });
  });
});

describe('generateResponse', () => {
  it('answers with the whole text and what the reference names', async () => {
    await using rig = await openChatRig();
    const answer = await rig.chat.generateResponse('c1', 'hello');
    expect(answer).toMatchObject({
      success: true,
      response: expect.stringContaining(rig.ollama.ledger.chats[0]?.salt ?? 'no salt'),
      conversationId: 'c1',
      messageId: expect.stringMatching(/^msg_/),
      finishReason: 'stop',
      model: 'tiny-chat',
      usage: { source: 'measured' },
      createdAt: expect.stringMatching(RFC_3339),
    });
  });

  it('creates a conversation that does not exist, and goes on with it', async () => {
    await using rig = await openChatRig();
    const first = await rig.chat.generateResponse('c1', 'one', { systemPrompt: 'You count.' });
    await rig.chat.generateResponse('c1', 'two');
    expect(rig.ollama.ledger.chats[1]?.body).toMatchObject({
      messages: [
        { role: 'system', content: 'You count.' },
        { role: 'user', content: 'one' },
        { role: 'assistant', content: first.success && first.response },
        { role: 'user', content: 'two' },
      ],
    });
  });

  it('asks for 500 tokens at temperature 0.7, and passes on what it is given', async () => {
    await using rig = await openChatRig();
    await rig.chat.generateResponse('c1', 'hello');
    await rig.chat.generateResponse('c1', 'hello', { maxTokens: 7, temperature: 0, topK: 3, stop: ['x'], seed: 5 });
    expect(rig.ollama.ledger.chats.map(({ body }) => body)).toMatchObject([
      { options: { num_predict: 500, temperature: 0.7 } },
      { options: { num_predict: 7, temperature: 0, top_k: 3, stop: ['x'], seed: 5 } },
    ]);
  });

  it('takes a default within the bound of this service', async () => {
    await using rig = await openChatRig({ settings: { LLM_MAX_TOKENS: '100' } });
    await rig.chat.generateResponse('c1', 'hello');
    expect(rig.ollama.ledger.chats[0]?.body).toMatchObject({ options: { num_predict: 100 } });
  });

  it.each([
    [{ maxTokens: 2049 }, 'max_tokens'],
    [{ maxTokens: 0 }, 'max_tokens'],
    [{ maxTokens: 1.5 }, 'max_tokens'],
    [{ temperature: 2.1 }, 'temperature'],
    [{ temperature: -0.1 }, 'temperature'],
    [{ temperature: Number.NaN }, 'temperature'],
    [{ format: { type: 'nonsense' } }, 'format'],
  ])('refuses %j by name, and stores nothing', async (options, name) => {
    await using rig = await openChatRig();
    const answer = await rig.chat.generateResponse('c1', 'hello', options);
    expect(answer).toMatchObject({ success: false, code: 'invalid_request', error: expect.stringContaining(name) });
    expect(answer).not.toHaveProperty('messageId');
    expect(await rig.chat.getConversation('c1')).toMatchObject({ code: 'not_found' });
  });

  it('takes a temperature above 1, as Ollama does', async () => {
    await using rig = await openChatRig();
    expect(await rig.chat.generateResponse('c1', 'hello', { temperature: 1.5 })).toMatchObject({ success: true });
  });

  it('takes a system prompt with the first request only; the same one again does no harm', async () => {
    await using rig = await openChatRig();
    await rig.chat.generateResponse('c1', 'one', { systemPrompt: 'You count.' });
    expect(await rig.chat.generateResponse('c1', 'two', { systemPrompt: 'You sing.' })).toMatchObject({
      code: 'invalid_request',
    });
    expect(await rig.chat.generateResponse('c1', 'two', { systemPrompt: 'You count.' })).toMatchObject({
      success: true,
    });
  });

  it('gives metadata back, and keeps it', async () => {
    await using rig = await openChatRig();
    const metadata = { ticket: 7, nested: { a: [1] } };
    expect(await rig.chat.generateResponse('c1', 'hello', { metadata })).toMatchObject({ metadata });
    const page = await rig.chat.listMessages('c1');
    expect(page).toMatchObject({
      messages: [
        { role: 'user', metadata },
        { role: 'assistant', metadata },
      ],
    });
  });

  it('never throws: a failure has a flag, a sentence, a code, and the text so far', async () => {
    await using rig = await openChatRig();
    const answer = await rig.chat.generateResponse('c1', '[[no-done:5]]');
    expect(answer).toMatchObject({
      success: false,
      code: 'backend_error',
      retryable: true,
      conversationId: 'c1',
      messageId: expect.stringMatching(/^msg_/),
      response: expect.stringContaining('I ['),
      usage: { source: 'estimated' },
      timestamp: expect.stringMatching(RFC_3339),
    });
  });
});

describe('a request id', () => {
  it('attaches to the reply that it began, and asks the backend once', async () => {
    await using rig = await openChatRig();
    const ask = () => rig.chat.generateResponse('c1', 'hello', { requestId: 'r1' });
    const answers = await Promise.all(Array.from({ length: 20 }, ask));
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect(answers[0]).toMatchObject({ success: true, requestId: 'r1' });
    expect(rig.ollama.ledger.chats).toHaveLength(1);
    expect(await rig.chat.getConversation('c1')).toMatchObject({ messageCount: 2 });
  });

  it('stands for one body: another is refused, but how it is watched does not matter', async () => {
    await using rig = await openChatRig();
    await rig.chat.generateResponse('c1', 'hello', { requestId: 'r1', metadata: { a: 1, b: 2 } });
    const again = (content: string, options: object) =>
      rig.chat.generateResponse('c1', content, { requestId: 'r1', ...options });
    expect(await again('other', { metadata: { a: 1, b: 2 } })).toMatchObject({ code: 'request_conflict' });
    expect(await again('hello', { metadata: { a: 1 } })).toMatchObject({ code: 'request_conflict' });
    expect(await again('hello', { metadata: { b: 2, a: 1 }, ifBusy: 'interrupt', maxTokens: 500 })).toMatchObject({
      success: true,
    });
    expect(rig.ollama.ledger.chats).toHaveLength(1);
  });

  it('is another one in another conversation, and for another owner', async () => {
    await using rig = await openChatRig();
    await rig.chat.generateResponse('c1', 'hello', { requestId: 'r1' });
    await rig.chat.generateResponse('c2', 'hello', { requestId: 'r1' });
    await rig.chat.generateResponse('c1', 'hello', { requestId: 'r1', owner: 'ann' });
    expect(rig.ollama.ledger.chats).toHaveLength(3);
  });

  it('repeats a failure too; what was refused can be asked again under the same id', async () => {
    await using rig = await openChatRig();
    const failed = await rig.chat.generateResponse('c1', '[[first:1:no-done:5]]', { requestId: 'r1' });
    expect(await rig.chat.generateResponse('c1', '[[first:1:no-done:5]]', { requestId: 'r1' })).toEqual(failed);
    expect(await rig.chat.generateResponse('c1', '[[first:1:no-done:5]]', { requestId: 'r2' })).toMatchObject({
      success: true,
    });
    expect(await rig.chat.generateResponse('c1', 'x', { requestId: 'r3', maxTokens: 9999 })).toMatchObject({
      success: false,
    });
    expect(await rig.chat.generateResponse('c1', 'x', { requestId: 'r3' })).toMatchObject({ success: true });
  });

  it('is still known after a restart', async () => {
    await using rig = await openChatRig();
    const first = await rig.chat.generateResponse('c1', 'hello', { requestId: 'r1' });
    const chat = await rig.reopen();
    expect(await chat.generateResponse('c1', 'hello', { requestId: 'r1' })).toEqual(first);
  });
});

describe('a conversation in which a reply runs', () => {
  it('refuses a second question and names the reply', async () => {
    await using rig = await openChatRig();
    const gate = createGate();
    rig.ollama.next([{ say: 'I am' }, { waitFor: gate }, { say: ' done' }, { done: true }]);
    const first = await rig.chat.request(asked('c1', 'one'));
    const messageId = first.success ? first.reply.messageId : '';
    expect(await rig.chat.getConversation('c1')).toMatchObject({ activeReply: messageId });
    expect(await rig.chat.generateResponse('c1', 'two')).toMatchObject({
      code: 'conversation_busy',
      activeMessageId: messageId,
      retryable: false,
    });
    gate.open();
    expect(first.success && (await rig.chat.awaitReply(first.reply))).toMatchObject({ response: 'I am done' });
    expect(await rig.chat.getConversation('c1')).not.toHaveProperty('activeReply');
  });

  it('ends the first reply for a request that interrupts, and keeps its text', async () => {
    await using rig = await openChatRig();
    const gate = createGate();
    rig.ollama.next([{ say: 'I am' }, { waitFor: gate }]);
    const first = await rig.chat.request(asked('c1', 'one'));
    await firstWords(rig.chat, first);
    const second = await rig.chat.generateResponse('c1', 'two', { ifBusy: 'interrupt' });
    expect(second).toMatchObject({ success: true });
    expect(first.success && (await rig.chat.awaitReply(first.reply))).toMatchObject({
      finishReason: 'cancelled',
      response: 'I am',
    });
    await rig.ollama.ledger.until(({ chats }) => chats[0]?.abortedByClient === true);
  });
});

describe('requests that interrupt each other', () => {
  it('are taken in their order: the last one is answered, however many there are', async () => {
    await using rig = await openChatRig({ ollama: { paceMs: 5 } });
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, index) =>
        rig.chat.generateResponse('c1', `question ${index}`, { ifBusy: 'interrupt' }),
      ),
    );
    expect(answers.slice(0, -1)).toEqual(
      answers.slice(0, -1).map(() => expect.objectContaining({ finishReason: 'cancelled' })),
    );
    expect(answers.at(-1)).toMatchObject({ success: true, finishReason: 'stop' });
  });
});

describe('what a model counts', () => {
  it('corrects the estimate of the next prompt, so that history is cut before the backend refuses it', async () => {
    await using rig = await openChatRig({
      ollama: { models: [{ name: 'tiny-chat', capabilities: ['completion'], contextLength: 2048, bytesPerToken: 1 }] },
    });
    const contexts: unknown[] = [];
    for (let turn = 0; turn < 12; turn++) {
      for await (const update of rig.chat.streamResponse('c1', `${'word '.repeat(60)}${turn}`, { maxTokens: 100 })) {
        if (update.type === 'refused') throw new Error(update.failure.error);
        if (update.type === 'entries') contexts.push(...update.entries.filter(({ event }) => event.type === 'context'));
      }
    }
    expect(contexts.length).toBeGreaterThan(0);
    const refusals = rig.ollama.ledger.chats.filter(({ status }) => status !== 200);
    expect(refusals.length).toBeLessThanOrEqual(1);
  });
});

describe('a request that would interrupt', () => {
  it('interrupts nothing when it is refused', async () => {
    await using rig = await openChatRig();
    const gate = createGate();
    rig.ollama.next([{ say: 'I am' }, { waitFor: gate }, { say: ' done' }, { done: true }]);
    const first = await rig.chat.request(asked('c1', 'one'));
    for (const refused of [{ model: 'other' }, { images: ['aGVsbG8='] }]) {
      expect(await rig.chat.generateResponse('c1', 'two', { ifBusy: 'interrupt', ...refused })).toMatchObject({
        success: false,
      });
    }
    gate.open();
    expect(first.success && (await rig.chat.awaitReply(first.reply))).toMatchObject({ response: 'I am done' });
  });
});

describe('streamResponse', () => {
  it('says that it was accepted, then tells the log to its end', async () => {
    await using rig = await openChatRig();
    const updates: ChatUpdate[] = [];
    for await (const update of rig.chat.streamResponse('c1', 'hello')) updates.push(update);
    expect(updates[0]).toMatchObject({ type: 'accepted', duplicate: false });
    const entries = updates.flatMap((update) => (update.type === 'entries' ? update.entries : []));
    expect(entries.map(({ seq }) => seq)).toEqual(entries.map((_entry, index) => index + 1));
    expect(entries.at(-1)?.event).toMatchObject({ type: 'end', state: 'done' });
    const said = entries.map(({ event }) => (event.type === 'text-delta' ? event.text : '')).join('');
    expect(entries.at(-1)?.event).toMatchObject({ text: said });
  });

  it('tells a refusal as its only update', async () => {
    await using rig = await openChatRig();
    const updates = await Array.fromAsync(rig.chat.streamResponse('c1', 'hello', { model: 'other' }));
    expect(updates).toMatchObject([{ type: 'refused', failure: { code: 'model_not_found' } }]);
  });

  it('stops watching when its reader leaves; the reply goes on', async () => {
    await using rig = await openChatRig();
    const gate = createGate();
    rig.ollama.next([{ say: 'I am' }, { waitFor: gate }, { say: ' done' }, { done: true }]);
    let messageId = '';
    for await (const update of rig.chat.streamResponse('c1', 'hello')) {
      if (update.type === 'accepted') ({ messageId } = update.reply);
      if (update.type === 'entries') break;
    }
    gate.open();
    const found = await rig.chat.findReply({ messageId });
    expect(found.success && (await rig.chat.awaitReply(found.reply))).toMatchObject({ response: 'I am done' });
  });
});

describe('resume', () => {
  it('tells what comes after a position, and the end to whoever asks later', async () => {
    await using rig = await openChatRig();
    const answer = await rig.chat.generateResponse('c1', 'hello');
    const messageId = answer.success ? answer.messageId : '';
    const updates = await Array.fromAsync(rig.chat.resume(messageId, { seq: 1 }));
    const entries = updates.flatMap((update) => (update.type === 'entries' ? update.entries : []));
    expect(entries[0]?.seq).toBe(2);
    expect(entries.at(-1)?.event).toMatchObject({ type: 'end', text: answer.success && answer.response });
  });

  it('tells absent and foreign replies the same', async () => {
    await using rig = await openChatRig();
    const answer = await rig.chat.generateResponse('c1', 'hello', { owner: 'ann' });
    const messageId = answer.success ? answer.messageId : '';
    const [foreign] = await Array.fromAsync(rig.chat.resume(messageId, { seq: 0 }, { owner: 'bob' }));
    const [absent] = await Array.fromAsync(rig.chat.resume('msg_none', { seq: 0 }, { owner: 'bob' }));
    const strip = (update: unknown) => JSON.stringify(update).replaceAll(/"(messageId|timestamp)":"[^"]*"/g, '');
    expect(strip(foreign)).toBe(strip(absent));
    expect(foreign).toMatchObject({ type: 'refused', failure: { code: 'not_found' } });
  });
});

describe('cancel', () => {
  it('ends a reply by its message id, or by its request, with its text kept', async () => {
    await using rig = await openChatRig();
    for (const by of ['message', 'request'] as const) {
      const gate = createGate();
      rig.ollama.next([{ say: 'I am' }, { waitFor: gate }]);
      const asking = await rig.chat.request({ ...asked('c1', by), requestId: by });
      if (!asking.success) throw new Error(asking.error);
      await firstWords(rig.chat, asking);
      const { messageId } = asking.reply;
      const reference = by === 'message' ? { messageId } : { conversationId: 'c1', requestId: by };
      expect(await rig.chat.cancel(reference)).toMatchObject({ success: true, messageId, state: 'cancelled' });
      expect(await rig.chat.cancel(reference)).toMatchObject({ success: true, state: 'cancelled' });
      expect(await rig.chat.awaitReply(asking.reply)).toMatchObject({
        success: true,
        finishReason: 'cancelled',
        response: 'I am',
        usage: { source: 'estimated' },
      });
    }
    await rig.ollama.ledger.until(({ chats }) => chats.every(({ abortedByClient }) => abortedByClient));
  });

  it('leaves a reply that has ended as it is', async () => {
    await using rig = await openChatRig();
    const answer = await rig.chat.generateResponse('c1', 'hello');
    const messageId = answer.success ? answer.messageId : '';
    expect(await rig.chat.cancel({ messageId })).toMatchObject({ success: true, state: 'done' });
    expect(await rig.chat.cancel({ messageId }, { owner: 'bob' })).toMatchObject({ success: false, code: 'not_found' });
    expect(await rig.chat.cancel({ conversationId: 'c1', requestId: 'none' })).toMatchObject({ code: 'not_found' });
  });
});

describe('processChatMessage', () => {
  it('gives the answer to the callback and waits for it', async () => {
    await using rig = await openChatRig();
    const answers: unknown[] = [];
    const done = await rig.chat.processChatMessage(
      { conversationId: 'c1', content: 'hello', metadata: { a: 1 } },
      async (answer) => void answers.push(answer),
    );
    expect(done).toBeUndefined();
    expect(answers).toMatchObject([{ success: true, conversationId: 'c1', metadata: { a: 1 } }]);
  });

  it('gives failures to the callback as well', async () => {
    await using rig = await openChatRig();
    const answers: unknown[] = [];
    await rig.chat.processChatMessage({ conversationId: 'c1', content: '' }, (answer) => void answers.push(answer));
    expect(answers).toMatchObject([{ success: false, code: 'invalid_request', conversationId: 'c1' }]);
  });
});

describe('deleteConversation', () => {
  it('cancels what runs and removes all of it', async () => {
    await using rig = await openChatRig();
    const gate = createGate();
    rig.ollama.next([{ say: 'I am' }, { waitFor: gate }]);
    const asking = await rig.chat.request({ ...asked('c1', 'hello'), requestId: 'r1' });
    await gate.reached;
    const messageId = asking.success ? asking.reply.messageId : '';
    expect(await rig.chat.deleteConversation('c1')).toMatchObject({ success: true });
    await rig.ollama.ledger.until(({ chats }) => chats[0]?.abortedByClient === true);
    expect(await rig.chat.getConversation('c1')).toMatchObject({ code: 'not_found' });
    expect(await rig.chat.getReply(messageId)).toMatchObject({ code: 'not_found' });
    expect(await rig.chat.deleteConversation('c1')).toMatchObject({ code: 'not_found' });
    expect(await rig.chat.generateResponse('c1', 'hello', { requestId: 'r1' })).toMatchObject({ success: true });
  });
});

describe('drain', () => {
  it('refuses what is new, answers what is repeated, and lets what runs end', async () => {
    await using rig = await openChatRig();
    const gate = createGate();
    rig.ollama.next([{ say: 'I am' }, { waitFor: gate }, { say: ' done' }, { done: true }]);
    const first = rig.chat.generateResponse('c1', 'one', { requestId: 'r1' });
    await gate.reached;
    const drained = rig.chat.drain(10_000);
    expect(await rig.chat.isReady()).toBe(false);
    expect(await rig.chat.generateResponse('c2', 'two')).toMatchObject({ code: 'draining', retryable: true });
    const repeated = rig.chat.generateResponse('c1', 'one', { requestId: 'r1' });
    gate.open();
    await drained;
    expect(await first).toMatchObject({ success: true, response: 'I am done' });
    expect(await repeated).toEqual(await first);
  });

  it('ends what outlasts it as interrupted, with its text kept', async () => {
    await using rig = await openChatRig();
    const gate = createGate();
    rig.ollama.next([{ say: 'I am' }, { waitFor: gate }]);
    const first = await rig.chat.request(asked('c1', 'one'));
    await firstWords(rig.chat, first);
    await rig.chat.drain(1);
    expect(first.success && (await rig.chat.awaitReply(first.reply))).toMatchObject({
      success: false,
      code: 'interrupted',
      retryable: true,
      response: 'I am',
    });
  });
});

/** Resolves when somebody could have seen the beginning of a reply. */
const firstWords = async (chat: LLMChatService, asking: Result<Accepted>): Promise<void> => {
  if (!asking.success) throw new Error(asking.error);
  for await (const update of chat.watch(asking.reply, { seq: 0 })) if (update.type === 'entries') return;
};

const asked = (conversationId: string, content: string) =>
  ({ owner: 'anonymous', conversationId, content, sampling: {}, images: [], ifBusy: 'reject' }) as const;
