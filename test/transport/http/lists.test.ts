import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createGatedReply } from '../../support/gated-reply.ts';
import { RunningService } from '../../support/running-service.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';

type Item = Readonly<Record<string, unknown>>;

/** A service without the example conversation, whose clock moves when the test says so. */
const start = async (settings = {}) => {
  const clock = new VirtualClock();
  const service = await RunningService.start({ settings, surroundings: { clock } });
  await service.call('/conversations/demo', { method: 'DELETE' });
  const create = async (...ids: readonly string[]): Promise<void> => {
    for (const conversation_id of ids) {
      await clock.jump(1);
      await service.post('/conversations', { conversation_id });
    }
  };
  const list = async (query = '', headers = {}) => {
    const { status, body } = await service.call(`/conversations${query}`, { headers });
    expect(status).toBe(200);
    const conversations = body['conversations'] as readonly Item[];
    return { conversations, ids: conversations.map((each) => each['conversation_id']), next: body['next_cursor'] };
  };
  const patch = (id: string, body: object, headers = {}) =>
    service.call(`/conversations/${id}`, { method: 'PATCH', body, headers });
  return { service, clock, create, list, patch, [Symbol.asyncDispose]: () => service[Symbol.asyncDispose]() };
};

describe('GET /conversations', () => {
  it('is empty before there is one', async () => {
    await using rig = await start();
    expect(await rig.list()).toEqual({ conversations: [], ids: [], next: null });
  });

  it('shows each as GET /conversations/{id} does, the one used last first', async () => {
    await using rig = await start();
    await rig.create('c1', 'c2', 'c3');
    await rig.clock.jump(1);
    await rig.service.post('/generate_response', { conversation_id: 'c1', user_input: 'hello' });
    const { conversations, ids, next } = await rig.list();
    expect({ ids, next }).toEqual({ ids: ['c1', 'c3', 'c2'], next: null });
    for (const conversation of conversations) {
      const { body } = await rig.service.call(`/conversations/${String(conversation['conversation_id'])}`);
      expect({ success: true, ...conversation }).toEqual(body);
    }
  });

  it('is read page by page, without a hole or a repeat, also while conversations come and go', async () => {
    await using rig = await start();
    await rig.create(...Array.from({ length: 7 }, (_, index) => `c${index}`));
    const first = await rig.list('?limit=3');
    expect(first.ids).toEqual(['c6', 'c5', 'c4']);
    await rig.create('new');
    await rig.service.call('/conversations/c3', { method: 'DELETE' });
    const second = await rig.list(`?limit=3&cursor=${String(first.next)}`);
    expect(second).toMatchObject({ ids: ['c2', 'c1', 'c0'], next: null });
    expect((await rig.list()).ids).toEqual(['new', 'c6', 'c5', 'c4', 'c2', 'c1', 'c0']);
  });

  it('names the reply that runs in each', async () => {
    await using rig = await start();
    await rig.create('still');
    const { script, gate } = createGatedReply();
    rig.service.ollama.next(script);
    const ask = { conversation_id: 'busy', user_input: 'hello', background: true };
    const { body } = await rig.service.post('/generate_response', ask);
    await gate.reached;
    const active = async () =>
      Object.fromEntries(
        (await rig.list()).conversations.map((each) => [each['conversation_id'], each['active_reply']]),
      );
    expect(await active()).toEqual({ still: null, busy: body['message_id'] });
    gate.open();
    using events = await rig.service.openEvents(`/replies/${String(body['message_id'])}/events`);
    await events.waitForEvent('llm_response');
    expect(await active()).toEqual({ still: null, busy: null });
  });

  it.each(['?cursor=x', '?cursor=', '?limit=0', '?limit=201', '?limit=many', '?page=2'])(
    'refuses what it does not understand: %s',
    async (query) => {
      await using rig = await start();
      const { status, body } = await rig.service.call(`/conversations${query}`);
      expect({ status, code: body['code'] }).toEqual({ status: 400, code: 'invalid_request' });
    },
  );

  it('shows an owner’s own alone, and no other’s cursor shows more', async () => {
    const keys = ['ann', 'bob'].map((owner) => `${owner}.${randomBytes(32).toString('base64url')}`);
    await using rig = await start({ API_KEYS: keys.join(',') });
    const [ann, bob] = keys.map((key) => ({ authorization: `Bearer ${key}` }));
    for (const conversation_id of ['a1', 'a2', 'a3'])
      await rig.service.post('/conversations', { conversation_id }, ann);
    await rig.service.post('/conversations', { conversation_id: 'b1' }, bob);
    expect((await rig.list('', bob)).ids).toEqual(['b1']);
    const { next } = await rig.list('?limit=1', ann);
    expect((await rig.list(`?cursor=${String(next)}`, bob)).ids).not.toContain('a1');
    expect((await rig.service.call('/conversations')).status).toBe(401);
    expect((await rig.patch('a1', { title: 'mine' }, bob)).body).toMatchObject({ code: 'not_found' });
  });
});

describe('PATCH /conversations/{id}', () => {
  it('sets what it names, leaves what it does not, and takes away what is null', async () => {
    await using rig = await start();
    await rig.create('c1');
    const all = { title: 'Plans', system_prompt: 'Be brief.', metadata: { page: 1 } };
    expect(await rig.patch('c1', all)).toMatchObject({ status: 200, body: { success: true, ...all } });
    expect((await rig.patch('c1', { title: 'Other plans' })).body).toMatchObject({ ...all, title: 'Other plans' });
    const { body } = await rig.patch('c1', { title: null, system_prompt: null, metadata: null });
    expect(body).toMatchObject({ success: true, system_prompt: null });
    for (const name of ['title', 'metadata']) expect(body).not.toHaveProperty(name);
    expect(body).toEqual((await rig.service.call('/conversations/c1')).body);
  });

  it('counts as a use: it moves the conversation to the top', async () => {
    await using rig = await start();
    await rig.create('c1', 'c2');
    await rig.clock.jump(1);
    await rig.patch('c1', { title: 'Plans' });
    expect((await rig.list()).ids).toEqual(['c1', 'c2']);
  });

  it('changes what the next turn is told, and not a word of what was said', async () => {
    await using rig = await start();
    const { service } = rig;
    const ask = (fields = {}) =>
      service.post('/generate_response', { conversation_id: 'c1', user_input: 'hello', ...fields });
    await ask({ system_prompt: 'Be brief.' });
    await rig.patch('c1', { system_prompt: 'Speak in verse.' });
    await ask();
    await rig.patch('c1', { system_prompt: null });
    await ask();
    const told = service.ollama.ledger.chats.map(({ body }) => (body as { messages: readonly Item[] }).messages);
    expect(told.map(([system]) => system?.['content'])).toEqual([
      'Be brief.',
      'Speak in verse.',
      'You are a helpful assistant.',
    ]);
    expect(told[2]?.length).toBe(6);
  });

  it.each([
    [{ title: '' }, 'title'],
    [{ title: 'x'.repeat(201) }, 'title'],
    [{ model: 'tiny-plain' }, '"model"'],
    [{ metadata: 'text' }, 'metadata'],
  ])('refuses what may not be: %j', async (body, place) => {
    await using rig = await start();
    await rig.create('c1');
    const answer = await rig.patch('c1', body);
    expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_request', conversation_id: 'c1' } });
    expect(answer.body['error']).toContain(place);
  });

  it('does not find what is not there', async () => {
    await using rig = await start();
    expect(await rig.patch('none', { title: 'x' })).toMatchObject({ status: 404, body: { code: 'not_found' } });
  });
});
