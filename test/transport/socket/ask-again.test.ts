import { describe, expect, it } from 'vitest';
import { RunningService } from '../../support/running-service.ts';
import { isEnd, seqs, textOf, type SocketClient } from '../../support/socket-client.ts';
import { cutShort, failing, saying } from '../../chat/again-rig.ts';

const begin = async (client: SocketClient, fields: object): Promise<string> => {
  const from = client.frames.length;
  client.send('llm_request', { conversation_id: 'c1', ...fields });
  await client.waitForEnd(from);
  const accepted = client.frames.slice(from).find(({ event }) => event === 'llm_accepted');
  return String(accepted?.data['message_id']);
};

describe('llm_request with continue', () => {
  it('is answered by a reply whose events begin with the text so far', async () => {
    await using service = await RunningService.start();
    const client = await service.connect();
    service.ollama.next(cutShort('One two '), saying('three.'));
    const first = await begin(client, { message: 'Count' });
    const from = client.frames.length;
    const second = await begin(client, { continue: first });
    const frames = client.frames.slice(from);
    const named = { message_id: second, continues: first };
    expect(frames.find(({ event }) => event === 'llm_accepted')?.data).toMatchObject(named);
    expect(frames.filter(({ event }) => event === 'llm_delta').map(({ data }) => data)).toMatchObject([
      { message_id: second, seq: 1, at: 0, text: 'One two ' },
      { message_id: second, seq: 2, at: 8, text: 'three.' },
    ]);
    expect(frames.find(isEnd)?.data).toMatchObject({ ...named, seq: 3, response: 'One two three.', length: 14 });
  });

  it('is resumed as any other, and cumulative text has its beginning', async () => {
    await using service = await RunningService.start();
    const client = await service.connect();
    service.ollama.next(cutShort('One '), saying('two.'));
    const first = await begin(client, { message: 'Count' });
    const second = await begin(client, { continue: first, stream: 'cumulative' });
    const deltas = client.frames.filter(({ event, data }) => event === 'llm_delta' && data['message_id'] === second);
    expect(deltas.map(({ data }) => data['response'])).toEqual(['One ', 'One two.']);
    const other = await service.connect();
    other.send('llm_resume', { message_id: second, seq: 1, at: 4 });
    const end = await other.waitForEnd();
    expect(seqs(other.frames)).toEqual([2, 3]);
    expect(textOf(other.frames)).toBe('two.');
    expect(end.data).toMatchObject({ continues: first, response: 'One two.' });
  });

  it('names what it goes on with in its failure, too', async () => {
    await using service = await RunningService.start();
    const client = await service.connect();
    service.ollama.next(cutShort('One '), failing('two '));
    const first = await begin(client, { message: 'Count' });
    const from = client.frames.length;
    await begin(client, { continue: first });
    expect(client.frames.slice(from).find(isEnd)).toMatchObject({
      event: 'llm_error',
      data: { continues: first, response: 'One two ', seq: 3 },
    });
  });
});

describe('llm_request with regenerate, or with edit', () => {
  it('is answered in the place of what was there', async () => {
    await using service = await RunningService.start();
    const client = await service.connect();
    service.ollama.next(saying('A'), saying('B'), saying('C'));
    const first = await begin(client, { message: 'a' });
    const second = await begin(client, { regenerate: first, options: { temperature: 1 } });
    const page = await service.call('/conversations/c1/messages');
    const [question] = page.body['messages'] as { message_id: string }[]; // as the document says
    const third = await begin(client, { edit: question?.message_id, message: 'b' });
    expect(client.frames.filter(isEnd).map(({ data }) => [data['message_id'], data['response']])).toEqual([
      [first, 'A'],
      [second, 'B'],
      [third, 'C'],
    ]);
  });

  it.each([
    ['a message beside it', { regenerate: 'msg_x', message: 'Hello' }, 'invalid_request', /takes no message/],
    ['no message', { edit: 'msg_x' }, 'invalid_request', /must be there/],
    ['two of them', { edit: 'msg_x', regenerate: 'msg_y', message: 'a' }, 'invalid_request', /at most one/],
    ['an id that is nobody’s', { regenerate: 'msg_x' }, 'not_found', /no such reply/],
    ['no id', { regenerate: '' }, 'invalid_request', /regenerate/],
  ])('is refused with %s, and nothing of it is stored', async (_what, fields, code, error) => {
    await using service = await RunningService.start();
    const client = await service.connect();
    client.send('llm_request', { conversation_id: 'c1', request_id: 'r1', ...fields });
    const { event, data } = await client.waitForEnd();
    expect(event).toBe('llm_error');
    expect(data).toMatchObject({ code, error: expect.stringMatching(error), conversation_id: 'c1', request_id: 'r1' });
    expect(data).not.toHaveProperty('message_id');
    expect((await service.call('/conversations/c1')).status).toBe(404);
  });
});
