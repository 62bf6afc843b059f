import { describe, expect, it } from 'vitest';
import { crc32 } from 'node:zlib';
import { toChatRequest, toFingerprint, type GenerateOptions } from '../../src/chat/chat-request.ts';
import type { ChatUpdate, Reply, Result } from '../../src/chat/results.ts';
import type { TextDelta } from '../../src/conversation/reply-event.ts';
import type { ChatRig } from '../support/chat-service.ts';
import { createGate } from '../support/scripted-ollama/scripted-ollama.ts';
import {
  ask,
  askInVain,
  cutShort,
  failing,
  idOf,
  lastSent,
  list,
  listed,
  openAgainRig,
  saying,
  toDroppedTurns,
} from './again-rig.ts';

const deltasOf = (updates: readonly ChatUpdate[]): readonly TextDelta[] =>
  updates
    .flatMap((update) => (update.type === 'entries' ? update.entries : []))
    .flatMap(({ event }) => (event.type === 'text-delta' ? [event] : []));

/** How a request is refused. It leaves no trace: no message, no reply, nothing asked of the model. */
const refuse = async (rig: ChatRig, options: GenerateOptions, message = ''): Promise<Result<Reply>> => {
  const look = async () => [
    await rig.chat.getConversation('c1'),
    await listed(rig.chat),
    rig.ollama.ledger.chats.length,
  ];
  const before = await look();
  const answer = await rig.chat.generateResponse('c1', message, { requestId: 'refused', ...options });
  expect(answer).not.toHaveProperty('messageId');
  expect(await look()).toEqual(before);
  return answer;
};

const refusal = (code: string, error: RegExp) => ({ success: false, code, error: expect.stringMatching(error) });

describe('continue', () => {
  it('goes on with a reply that was cut short: the one message grows', async () => {
    await using rig = await openAgainRig();
    await ask(rig, 'Hello', saying('Hi.'));
    const first = await ask(rig, 'Count', cutShort('One two '));
    const { id } = (await list(rig.chat)).at(-1) ?? {};
    rig.ollama.next(saying('three.'));
    const updates: ChatUpdate[] = [];
    for await (const update of rig.chat.streamResponse('c1', '', { continue: first.messageId })) updates.push(update);
    expect(updates[0]).toMatchObject({ type: 'accepted', reply: { continues: first.messageId } });
    expect(deltasOf(updates)).toMatchObject([
      { channel: 'content', at: 0, text: 'One two ' },
      { channel: 'content', at: 8, text: 'three.' },
    ]);
    expect(lastSent(rig)).toEqual(['Hello', 'Hi.', 'Count']);
    expect(await listed(rig.chat)).toEqual(['Hello', 'Hi.', 'Count', 'One two three.']);
    expect((await list(rig.chat)).at(-1)).toMatchObject({ id, position: 4, outcome: { finishReason: 'stop' } });
    await ask(rig, 'Thanks', saying('Gladly.'));
    expect(lastSent(rig)).toEqual(['Hello', 'Hi.', 'Count', 'One two three.', 'Thanks']);
  });

  it('answers with the whole text, its length and its digest, under an id of its own', async () => {
    await using rig = await openAgainRig();
    const first = await ask(rig, 'Count', cutShort('One two '));
    const second = await ask(rig, '', saying('three.'), { continue: first.messageId, requestId: 'r2' });
    expect(second).toMatchObject({
      response: 'One two three.',
      length: 14,
      digest: crc32('One two three.').toString(16).padStart(8, '0'),
      continues: first.messageId,
      finishReason: 'stop',
    });
    expect(second.messageId).not.toBe(first.messageId);
    expect(await rig.chat.getReply(second.messageId)).toMatchObject({
      record: { continues: first.messageId },
      texts: { content: 'One two three.' },
    });
    expect(await rig.chat.generateResponse('c1', '', { continue: first.messageId, requestId: 'r2' })).toEqual(second);
  });

  it('counts only the new tokens as its own', async () => {
    await using rig = await openAgainRig();
    const first = await ask(rig, 'Count', cutShort('One two three four '));
    const failure = await askInVain(rig, '', failing('five'), { continue: first.messageId });
    expect(failure).toMatchObject({ response: 'One two three four five', continues: first.messageId });
    expect(failure.usage).toMatchObject({ completionTokens: 1, source: 'estimated' });
  });

  it('goes on again and again, by the id of any of the replies that made the message', async () => {
    await using rig = await openAgainRig();
    const first = await ask(rig, 'Count', cutShort('One '));
    const second = await ask(rig, '', cutShort('two '), { continue: first.messageId });
    const third = await ask(rig, '', cutShort('three '), { continue: second.messageId });
    const fourth = await ask(rig, '', cutShort('four '), { continue: first.messageId });
    expect([third, fourth].map(({ response }) => response)).toEqual(['One two three ', 'One two three four ']);
    expect(await listed(rig.chat)).toEqual(['Count', 'One two three four ']);
  });

  it('goes on with what was cancelled, and with what failed behind some words', async () => {
    await using rig = await openAgainRig();
    const gate = createGate();
    rig.ollama.next([{ say: 'One ' }, { waitFor: gate }]);
    const updates = rig.chat.streamResponse('c1', 'Count');
    let messageId = '';
    for await (const update of updates) {
      if (update.type === 'accepted') ({ messageId } = update.reply);
      if (update.type === 'entries' && update.entries[0]?.event.type === 'text-delta') break;
    }
    await rig.chat.cancel({ messageId });
    const failure = await askInVain(rig, '', failing('two '), { continue: messageId });
    expect(failure.response).toBe('One two ');
    const third = await ask(rig, '', saying('three.'), { continue: failure.messageId });
    expect(third.response).toBe('One two three.');
  });

  it('leaves a reply that is gone on with in vain as it is', async () => {
    await using rig = await openAgainRig();
    const first = await ask(rig, 'Count', cutShort('One '));
    const failure = await askInVain(rig, '', failing(), { continue: first.messageId });
    expect(failure).toMatchObject({ continues: first.messageId });
    expect(failure).not.toHaveProperty('response');
    expect((await list(rig.chat)).at(-1)).toMatchObject({ content: 'One ', outcome: { finishReason: 'length' } });
    expect(await ask(rig, '', saying('two.'), { continue: first.messageId })).toMatchObject({ response: 'One two.' });
  });

  it('has the text so far once, however often the model speaks after it', async () => {
    await using rig = await openAgainRig();
    const first = await ask(rig, 'Count', cutShort('One '));
    const gate = createGate();
    rig.ollama.next([{ say: 'two ' }, { waitFor: gate }, { say: 'three.' }, { done: true }]);
    const said: string[] = [];
    for await (const update of rig.chat.streamResponse('c1', '', { continue: first.messageId })) {
      if (update.type !== 'entries') continue;
      for (const { event } of update.entries) if (event.type === 'text-delta') said.push(event.text);
      if (said.join('').endsWith('two ')) gate.open();
    }
    expect(said.join('')).toBe('One two three.');
  });

  it('changes nothing when it is cancelled before its turn has come', async () => {
    await using rig = await openAgainRig({ LLM_CONCURRENCY: '1' });
    const first = await ask(rig, 'Count', cutShort('One '));
    const gate = createGate();
    rig.ollama.next([{ say: 'I am' }, { waitFor: gate }, { done: true }]);
    const other = rig.chat.generateResponse('c2', 'Hello');
    await gate.reached;
    const waiting = await rig.chat.request(toChatRequest('c1', '', { continue: first.messageId }));
    const messageId = waiting.success ? waiting.reply.messageId : '';
    await rig.chat.cancel({ messageId });
    expect((await list(rig.chat)).at(-1)).toMatchObject({ content: 'One ', outcome: { finishReason: 'length' } });
    gate.open();
    await other;
    expect(await ask(rig, '', saying('two.'), { continue: first.messageId })).toMatchObject({ response: 'One two.' });
  });

  it('outlasts a restart in the middle, with all of its text', async () => {
    await using rig = await openAgainRig();
    const first = await ask(rig, 'Count', cutShort('One '));
    const gate = createGate();
    rig.ollama.next([{ say: 'two ' }, { waitFor: gate }]);
    for await (const update of rig.chat.streamResponse('c1', '', { continue: first.messageId })) {
      if (deltasOf([update]).some(({ text }) => text.endsWith('two '))) break;
    }
    await rig.reopen();
    expect((await list(rig.chat)).at(-1)).toMatchObject({
      content: 'One two ',
      outcome: { state: 'failed', failure: { code: 'interrupted' } },
    });
    expect(await ask(rig, '', saying('three.'), { continue: first.messageId })).toMatchObject({
      response: 'One two three.',
    });
  });

  it('refuses a reply that has come to its end, and one that is not the last', async () => {
    await using rig = await openAgainRig();
    const first = await ask(rig, 'Count', cutShort('One '));
    const second = await ask(rig, 'Hello', saying('Hi.'));
    expect(await refuse(rig, { continue: first.messageId })).toMatchObject(
      refusal('invalid_request', /the last reply/),
    );
    expect(await refuse(rig, { continue: second.messageId })).toMatchObject(
      refusal('invalid_request', /finish_reason stop/),
    );
  });

  it('refuses a reply without text, and leaves the one before it to be gone on with', async () => {
    await using rig = await openAgainRig();
    const first = await ask(rig, 'Count', cutShort('One '));
    const failure = await askInVain(rig, 'Hello', failing());
    expect(await refuse(rig, { continue: failure.messageId })).toMatchObject(refusal('invalid_request', /no text/));
    await ask(rig, '', saying('two.'), { continue: first.messageId });
    expect(await listed(rig.chat)).toEqual(['Count', 'One two.', 'Hello', '']);
  });

  it.each<[string, GenerateOptions, RegExp, string?]>([
    ['a message', {}, /takes no message/, 'Go on'],
    ['images', { images: ['aGk='] }, /takes no images/],
    ['a format', { format: 'json' }, /takes no format/],
    ['thinking', { think: true }, /takes no think/],
    ['another of its kind', { regenerate: 'msg_x' }, /at most one of continue, regenerate and edit/],
  ])('refuses %s with it', async (_what, options, error, message) => {
    await using rig = await openAgainRig();
    const { messageId } = await ask(rig, 'Count', cutShort('One '));
    const answer = await refuse(rig, { continue: messageId, ...options }, message);
    expect(answer).toMatchObject(refusal('invalid_request', error));
  });
});

describe('regenerate', () => {
  it('answers the question again: the old answer is kept and shown, and not sent any more', async () => {
    await using rig = await openAgainRig();
    await ask(rig, 'Hello', saying('Hi.'));
    const old = await ask(rig, 'Count', saying('One.'));
    const fresh = await ask(rig, '', saying('Two.'), { regenerate: old.messageId, temperature: 1.5 });
    expect(fresh).toMatchObject({ response: 'Two.' });
    expect(rig.ollama.ledger.chats.at(-1)?.body).toMatchObject({ options: { temperature: 1.5 } });
    expect(lastSent(rig)).toEqual(['Hello', 'Hi.', 'Count']);
    expect(await listed(rig.chat)).toEqual(['Hello', 'Hi.', 'Count', '[One.]', 'Two.']);
    expect((await list(rig.chat)).at(-1)).toMatchObject({ id: fresh.messageId, variantOf: old.messageId });
    await ask(rig, 'Thanks', saying('Gladly.'));
    expect(lastSent(rig)).toEqual(['Hello', 'Hi.', 'Count', 'Two.', 'Thanks']);
  });

  it('of an earlier reply leaves out all that came behind it', async () => {
    await using rig = await openAgainRig();
    const first = await ask(rig, 'a', saying('A'));
    await ask(rig, 'b', saying('B'));
    const third = await ask(rig, 'c', saying('C'));
    const fresh = await ask(rig, '', saying('A2'), { regenerate: first.messageId });
    expect(lastSent(rig)).toEqual(['a']);
    expect(await listed(rig.chat)).toEqual(['a', '[A]', '[b]', '[B]', '[c]', '[C]', 'A2']);
    for (const messageId of [first.messageId, third.messageId])
      expect(await refuse(rig, { regenerate: messageId })).toMatchObject(refusal('not_found', /was replaced/));
    await ask(rig, '', saying('A3'), { regenerate: fresh.messageId });
    await ask(rig, 'd', saying('D'));
    expect(lastSent(rig)).toEqual(['a', 'A3', 'd']);
  });

  it('changes nothing until there is an answer; who asks again for the failed one is answered in its place', async () => {
    await using rig = await openAgainRig();
    await ask(rig, 'a', saying('A'));
    const second = await ask(rig, 'b', saying('B'));
    const failure = await askInVain(rig, '', failing(), { regenerate: second.messageId });
    expect(await listed(rig.chat)).toEqual(['a', 'A', 'b', 'B', '']);
    await ask(rig, 'c', saying('C'));
    expect(lastSent(rig)).toEqual(['a', 'A', 'b', 'B', 'c']);
    await ask(rig, '', saying('B2'), { regenerate: failure.messageId });
    expect(lastSent(rig)).toEqual(['a', 'A', 'b']);
    expect(await listed(rig.chat)).toEqual(['a', 'A', 'b', '[B]', '[]', '[c]', '[C]', 'B2']);
    expect((await list(rig.chat)).at(-1)).toMatchObject({ variantOf: second.messageId });
  });

  it('of a reply that failed without a word answers its question at last', async () => {
    await using rig = await openAgainRig();
    await ask(rig, 'a', saying('A'));
    const failure = await askInVain(rig, 'b', failing());
    await askInVain(rig, '', failing(), { regenerate: failure.messageId });
    await ask(rig, '', saying('B'), { regenerate: failure.messageId });
    expect(lastSent(rig)).toEqual(['a', 'A', 'b']);
    expect(await listed(rig.chat)).toEqual(['a', 'A', 'b', '[]', '[]', 'B']);
    await ask(rig, 'c', saying('C'));
    expect(lastSent(rig)).toEqual(['a', 'A', 'b', 'B', 'c']);
  });

  it('of a reply that was gone on with takes the whole of it away, by either id', async () => {
    await using rig = await openAgainRig();
    const first = await ask(rig, 'a', cutShort('A '));
    const second = await ask(rig, '', saying('AA'), { continue: first.messageId });
    const fresh = await ask(rig, '', cutShort('B '), { regenerate: second.messageId });
    expect(await listed(rig.chat)).toEqual(['a', '[A AA]', 'B ']);
    await ask(rig, '', saying('BB'), { continue: fresh.messageId });
    expect(await listed(rig.chat)).toEqual(['a', '[A AA]', 'B BB']);
    expect((await list(rig.chat)).at(-1)).toMatchObject({ variantOf: first.messageId });
    await ask(rig, '', saying('C'), { regenerate: fresh.messageId });
    expect(await listed(rig.chat)).toEqual(['a', '[A AA]', '[B BB]', 'C']);
  });

  it('sends the images of the question again, to a model that can see', async () => {
    await using rig = await openAgainRig({ LLM_MODEL: 'tiny-vision', LLM_MODELS: 'tiny-chat' });
    const { messageId } = await ask(rig, 'What is it?', saying('A cat.'), { images: ['aGk='] });
    await ask(rig, '', saying('A dog.'), { regenerate: messageId, requestId: 'r2' });
    expect(rig.ollama.ledger.chats.at(-1)?.body).toMatchObject({ messages: [{}, { images: ['aGk='] }] });
    const fresh = (await list(rig.chat)).at(-1)?.id ?? '';
    const answer = await refuse(rig, { regenerate: fresh, model: 'tiny-chat' });
    expect(answer).toMatchObject(refusal('unsupported', /cannot see images/));
  });

  it('waits for nobody: a running reply is in the way, unless it is to be ended', async () => {
    await using rig = await openAgainRig();
    const gate = createGate();
    rig.ollama.next([{ say: 'One ' }, { waitFor: gate }]);
    const first = await rig.chat.request(toChatRequest('c1', 'Count', {}));
    const messageId = first.success ? first.reply.messageId : '';
    await gate.reached;
    expect(await rig.chat.generateResponse('c1', '', { regenerate: messageId })).toMatchObject({
      code: 'conversation_busy',
      activeMessageId: messageId,
    });
    await ask(rig, '', saying('Two.'), { regenerate: messageId, ifBusy: 'interrupt' });
    expect(lastSent(rig)).toEqual(['Count']);
    expect((await listed(rig.chat)).at(-1)).toBe('Two.');
  });

  it('does not end a running reply when it is refused', async () => {
    await using rig = await openAgainRig();
    const gate = createGate();
    rig.ollama.next([{ say: 'One ' }, { waitFor: gate }, { done: true }]);
    const first = await rig.chat.request(toChatRequest('c1', 'Count', {}));
    await gate.reached;
    for (const options of [{ regenerate: 'msg_x' }, { continue: 'msg_x' }]) {
      expect(await rig.chat.generateResponse('c1', '', { ...options, ifBusy: 'interrupt' })).toMatchObject({
        code: 'not_found',
      });
    }
    gate.open();
    expect(first.success && (await rig.chat.awaitReply(first.reply))).toMatchObject({ finishReason: 'stop' });
  });

  it('finds nothing that is not a reply of this conversation', async () => {
    await using rig = await openAgainRig();
    await ask(rig, 'a', saying('A'));
    const elsewhere = await rig.chat.generateResponse('c2', 'a');
    const foreign = await rig.chat.generateResponse('c1', 'a', { owner: 'ann' });
    const ids = [elsewhere, foreign].map((reply) => (reply.success ? reply.messageId : ''));
    for (const messageId of ['msg_x', await idOf(rig.chat, 'a'), ...ids]) {
      for (const options of [{ regenerate: messageId }, { continue: messageId }])
        expect(await refuse(rig, options)).toMatchObject(refusal('not_found', /no such reply/));
    }
    expect(await rig.chat.generateResponse('c9', '', { regenerate: 'msg_x' })).toMatchObject({ code: 'not_found' });
    expect(await rig.chat.getConversation('c9')).toMatchObject({ code: 'not_found' });
  });
});

describe('edit', () => {
  it('puts a question in the place of another: the old one and what came behind it is not sent any more', async () => {
    await using rig = await openAgainRig();
    await ask(rig, 'a', saying('A'));
    await ask(rig, 'b', saying('B'));
    await ask(rig, 'c', saying('C'));
    const old = await idOf(rig.chat, 'b');
    await ask(rig, 'b2', saying('B2'), { edit: old });
    expect(lastSent(rig)).toEqual(['a', 'A', 'b2']);
    expect(await listed(rig.chat)).toEqual(['a', 'A', '[b]', '[B]', '[c]', '[C]', 'b2', 'B2']);
    expect((await list(rig.chat)).at(-2)).toMatchObject({ role: 'user', editOf: old });
    await ask(rig, 'd', saying('D'));
    expect(lastSent(rig)).toEqual(['a', 'A', 'b2', 'B2', 'd']);
    expect(await refuse(rig, { edit: old }, 'b3')).toMatchObject(refusal('not_found', /was replaced/));
  });

  it('of the first question begins anew, with the system prompt of the conversation', async () => {
    await using rig = await openAgainRig();
    await ask(rig, 'a', saying('A'), { systemPrompt: 'Be brief.' });
    await ask(rig, 'a2', saying('A2'), { edit: await idOf(rig.chat, 'a') });
    expect(lastSent(rig)).toEqual(['a2']);
    expect(rig.ollama.ledger.chats.at(-1)?.body).toMatchObject({ messages: [{ content: 'Be brief.' }, {}] });
  });

  it('changes nothing until there is an answer; the failed edit can be edited, and its answer asked for again', async () => {
    await using rig = await openAgainRig();
    await ask(rig, 'a', saying('A'));
    await ask(rig, 'b', saying('B'));
    const old = await idOf(rig.chat, 'b');
    const failure = await askInVain(rig, 'b2', failing(), { edit: old });
    expect(await listed(rig.chat)).toEqual(['a', 'A', 'b', 'B', 'b2', '']);
    await askInVain(rig, 'b3', failing(), { edit: await idOf(rig.chat, 'b2') });
    await ask(rig, 'c', saying('C'));
    expect(lastSent(rig)).toEqual(['a', 'A', 'b', 'B', 'c']);
    await ask(rig, '', saying('B2'), { regenerate: failure.messageId });
    expect(lastSent(rig)).toEqual(['a', 'A', 'b2']);
    const replaced = ['[b]', '[B]', '[b2]', '[]', '[b3]', '[]', '[c]', '[C]'];
    expect(await listed(rig.chat)).toEqual(['a', 'A', ...replaced, 'b2', 'B2']);
    expect((await list(rig.chat)).slice(-2)).toMatchObject([{ editOf: old }, { variantOf: failure.messageId }]);
    await ask(rig, 'd', saying('D'));
    expect(lastSent(rig)).toEqual(['a', 'A', 'b2', 'B2', 'd']);
  });

  it('of a question that was never answered leaves nothing of it behind', async () => {
    await using rig = await openAgainRig();
    await askInVain(rig, 'a', failing());
    await ask(rig, 'a2', saying('A2'), { edit: await idOf(rig.chat, 'a') });
    expect(await listed(rig.chat)).toEqual(['[a]', '[]', 'a2', 'A2']);
    await ask(rig, 'b', saying('B'));
    expect(lastSent(rig)).toEqual(['a2', 'A2', 'b']);
  });

  it('brings the images that it names, and none of the old ones', async () => {
    await using rig = await openAgainRig({ LLM_MODEL: 'tiny-vision' });
    await ask(rig, 'What is it?', saying('A cat.'), { images: ['aGk='] });
    await ask(rig, 'Who are you?', saying('A model.'), { edit: await idOf(rig.chat, 'What is it?') });
    expect(JSON.stringify(rig.ollama.ledger.chats.at(-1)?.body)).not.toContain('aGk=');
  });

  it('of the question that is being answered ends its reply, where that is wanted', async () => {
    await using rig = await openAgainRig();
    const gate = createGate();
    rig.ollama.next([{ say: 'One ' }, { waitFor: gate }]);
    await rig.chat.request(toChatRequest('c1', 'Count', {}));
    await gate.reached;
    const edit = await idOf(rig.chat, 'Count');
    await ask(rig, 'Sing', saying('La.'), { edit, ifBusy: 'interrupt' });
    expect(lastSent(rig)).toEqual(['Sing']);
    expect((await listed(rig.chat)).slice(-2)).toEqual(['Sing', 'La.']);
  });

  it('finds nothing that is not a user’s message of this conversation, and wants a message', async () => {
    await using rig = await openAgainRig();
    const { messageId } = await ask(rig, 'a', saying('A'));
    for (const edit of ['msg_x', messageId])
      expect(await refuse(rig, { edit }, 'b')).toMatchObject(refusal('not_found', /no such message/));
    const edit = await idOf(rig.chat, 'a');
    expect(await refuse(rig, { edit })).toMatchObject(refusal('invalid_request', /must be there/));
    expect(await refuse(rig, {})).toMatchObject(refusal('invalid_request', /must be there/));
  });
});

describe('what is asked again before a cut, or close behind it', () => {
  it.each([
    [2, 1, 0],
    [4, 3, 0],
    [7, 3, 3],
    [10, 3, 6], // the first behind the cut
    [11, 1, 9],
  ])('of question %i, %i turns are sent and %i left out', async (number, kept, dropped) => {
    await using rig = await openAgainRig({ LLM_MAX_TURNS: '4' });
    const replies: string[] = [];
    for (let turn = 1; turn <= 12; turn++) replies.push((await ask(rig, `q${turn}`, saying(`A${turn}`))).messageId);
    const fresh = await ask(rig, '', saying('fresh'), { regenerate: replies[number - 1] ?? '' });
    expect(lastSent(rig)).toEqual([
      ...Array.from({ length: kept }, (_, index) => number - kept + index).flatMap((turn) => [`q${turn}`, `A${turn}`]),
      `q${number}`,
    ]);
    expect(await toDroppedTurns(rig, fresh.messageId)).toBe(dropped);
    await ask(rig, 'next', saying('Next'));
    expect(lastSent(rig).slice(-3)).toEqual([`q${number}`, 'fresh', 'next']);
  });
});

describe('what is asked again far back', () => {
  it('is found page after page, and counts all that is left out', async () => {
    await using rig = await openAgainRig({ LLM_MAX_TURNS: '4' });
    const questions: string[] = [];
    for (let turn = 1; turn <= 75; turn++) {
      await ask(rig, `q${turn}`, saying(`A${turn}`));
      questions.push(await idOf(rig.chat, `q${turn}`));
    }
    const fresh = await ask(rig, 'q11b', saying('A11b'), { edit: questions[10] ?? '' });
    expect(lastSent(rig)).toEqual(['q8', 'A8', 'q9', 'A9', 'q10', 'A10', 'q11b']);
    expect(await toDroppedTurns(rig, fresh.messageId)).toBe(7);
    const first = await ask(rig, 'q1b', saying('A1b'), { edit: questions[0] ?? '' }); // behind all that was replaced
    expect(lastSent(rig)).toEqual(['q1b']);
    expect(await toDroppedTurns(rig, first.messageId)).toBe(0);
    await ask(rig, 'q2b', saying('A2b'));
    expect(lastSent(rig)).toEqual(['q1b', 'A1b', 'q2b']);
  });
});

describe('the fingerprint of a request', () => {
  it('is what it always was without these fields, so that repeats of stored requests are still known', () => {
    expect(toFingerprint(toChatRequest('c1', 'hello', {}))).toBe('PEi0czq7T3W9qoZBMnMFhRGKLA8h-AZdH8Tw-jFMwbc');
    expect(toFingerprint(toChatRequest('c1', 'hello', { think: true, maxTokens: 7, images: ['aGk='] }))).toBe(
      'UAdO-iWR_L5UCpJnLOlX_PexkEJQUHn4QehkclZQK-8',
    );
  });

  it('tells what is asked again apart', () => {
    const options: readonly GenerateOptions[] = [{ continue: 'a' }, { regenerate: 'a' }, { regenerate: 'b' }, {}];
    const prints = options.map((each) => toFingerprint(toChatRequest('c1', '', each)));
    expect(new Set(prints).size).toBe(options.length);
  });

  it('covers them: the same request id with another of them is a conflict', async () => {
    await using rig = await openAgainRig();
    const old = await ask(rig, 'a', saying('A'));
    const options = { regenerate: old.messageId, requestId: 'r2' };
    const fresh = await ask(rig, '', saying('A2'), options);
    expect(await rig.chat.generateResponse('c1', '', options)).toEqual(fresh);
    expect(await rig.chat.generateResponse('c1', '', { ...options, regenerate: fresh.messageId })).toMatchObject({
      code: 'request_conflict',
    });
    expect(rig.ollama.ledger.chats).toHaveLength(2);
  });
});
