import { describe, expect, it } from 'vitest';
import { RunningService, type Answer } from '../../support/running-service.ts';
import { cutShort, failing, saying } from '../../chat/again-rig.ts';

const ask = (service: RunningService, body: object): Promise<Answer> =>
  service.post('/generate_response', { conversation_id: 'c1', ...body });

const listMessages = async (service: RunningService) =>
  (await service.call('/conversations/c1/messages')).body['messages'] as Readonly<Record<string, unknown>>[]; // as the document says

describe('POST /generate_response', () => {
  it('with continue answers with the whole text, and names what it goes on with', async () => {
    await using service = await RunningService.start();
    service.ollama.next(cutShort('One two '), saying('three.'));
    const first = await ask(service, { user_input: 'Count' });
    const continues = first.body['message_id'];
    expect(first.body).toMatchObject({ response: 'One two ', finish_reason: 'length' });
    expect(first.body).not.toHaveProperty('continues');
    const second = await ask(service, { continue: continues });
    expect(second).toMatchObject({ status: 200, body: { continues, response: 'One two three.', length: 14 } });
    const reply = await service.call(`/replies/${String(second.body['message_id'])}`);
    expect(reply.body).toMatchObject({ continues, state: 'done', response: 'One two three.' });
    expect(await listMessages(service)).toMatchObject([
      { role: 'user', content: 'Count', active: true },
      { role: 'assistant', content: 'One two three.', active: true, message_id: continues, finish_reason: 'stop' },
    ]);
  });

  it('with continue in the background answers at once, and can be followed', async () => {
    await using service = await RunningService.start();
    service.ollama.next(cutShort('One '), saying('two.'));
    const continues = (await ask(service, { user_input: 'Count' })).body['message_id'];
    const accepted = await ask(service, { continue: continues, background: true });
    expect(accepted).toMatchObject({ status: 202, body: { continues, duplicate: false } });
    const events = await service.openEvents(`/replies/${String(accepted.body['message_id'])}/events`);
    const end = await events.waitFor(({ event }) => event === 'llm_response');
    expect(end.data).toMatchObject({ continues, response: 'One two.' });
  });

  it('with continue as server-sent events begins with the text so far; the same request again attaches', async () => {
    await using service = await RunningService.start();
    service.ollama.next(cutShort('One '), saying('two.'));
    const continues = (await ask(service, { user_input: 'Count' })).body['message_id'];
    const body = { conversation_id: 'c1', continue: continues, request_id: 'r2' };
    for (const duplicate of [false, true]) {
      const events = await service.openEvents('/generate_response', { body });
      await events.waitFor(({ event }) => event === 'llm_response');
      const [accepted, ...rest] = events.events.filter(({ event }) => event !== 'llm_status');
      expect(accepted).toMatchObject({ event: 'llm_accepted', data: { continues, duplicate } });
      expect(rest.map(({ data }) => data)).toMatchObject([
        { seq: 1, at: 0, text: 'One ' },
        { seq: 2, at: 4, text: 'two.' },
        { seq: 3, response: 'One two.' },
      ]);
    }
    expect(service.ollama.ledger.chats).toHaveLength(2);
  });

  it('with regenerate and edit keeps what was there, and says what is in force', async () => {
    await using service = await RunningService.start();
    service.ollama.next(saying('A'), saying('A2'), saying('B'));
    const first = (await ask(service, { user_input: 'a' })).body['message_id'];
    const second = (await ask(service, { regenerate: first })).body['message_id'];
    const question = (await listMessages(service))[0]?.['message_id'];
    await ask(service, { edit: question, user_input: 'b' });
    expect(await listMessages(service)).toMatchObject([
      { position: 1, content: 'a', active: false, message_id: question },
      { position: 2, content: 'A', active: false, message_id: first },
      { position: 3, content: 'A2', active: false, message_id: second, variant_of: first },
      { position: 4, content: 'b', active: true, edit_of: question },
      { position: 5, content: 'B', active: true },
    ]);
  });

  it('fails with the partial text, the old one and the new', async () => {
    await using service = await RunningService.start();
    service.ollama.next(cutShort('One '), failing('two '));
    const continues = (await ask(service, { user_input: 'Count' })).body['message_id'];
    const failed = await ask(service, { continue: continues });
    expect(failed.body).toMatchObject({ success: false, continues, response: 'One two ', seq: 3 });
  });

  it.each([
    [{ user_input: 'Go on' }, 'invalid_request', 400, /takes no message \(over HTTP: user_input\)/],
    [{ format: 'json' }, 'invalid_request', 400, /takes no format/],
    [{ edit: 'msg_x' }, 'invalid_request', 400, /at most one/],
    [{ conversation_id: 'c2' }, 'not_found', 404, /no such reply/],
  ])('refuses continue with %j, without a trace', async (fields, code, status, error) => {
    await using service = await RunningService.start();
    service.ollama.next(cutShort('One '));
    const continues = (await ask(service, { user_input: 'Count' })).body['message_id'];
    const before = await listMessages(service);
    const refused = await ask(service, { continue: continues, ...fields });
    expect(refused).toMatchObject({ status, body: { code, error: expect.stringMatching(error) } });
    expect(refused.body).not.toHaveProperty('message_id');
    expect(await listMessages(service)).toEqual(before);
    expect((await service.call('/conversations/c2')).status).toBe(404);
  });

  it('wants a question where none is there to be answered again', async () => {
    await using service = await RunningService.start();
    const refused = await ask(service, {});
    expect(refused).toMatchObject({ status: 400, body: { error: expect.stringContaining('user_input') } });
  });
});
