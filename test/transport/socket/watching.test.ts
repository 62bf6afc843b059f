import { describe, expect, it } from 'vitest';
import { createGatedReply } from '../../support/gated-reply.ts';
import { RunningService } from '../../support/running-service.ts';
import { isEnd, seqs, textOf, type SocketClient } from '../../support/socket-client.ts';

/** A reply that has said `one two` and waits, and the client that asked. */
const startReply = async (service: RunningService, fields = {}) => {
  const { script, gate } = createGatedReply();
  service.ollama.next(script);
  const client = await service.connect();
  client.ask('hello', fields);
  const { data } = await client.waitForEvent('llm_accepted');
  const messageId = String(data['message_id']);
  using events = await service.openEvents(`/replies/${messageId}/events`);
  await events.waitForEvent('llm_delta');
  return { client, gate, messageId };
};

const leave = async (client: SocketClient) => {
  client.socket.terminate();
  await client.closed;
};

describe('a reply', () => {
  it('goes on when its client leaves, and is there for who comes back', async () => {
    await using service = await RunningService.start();
    const { client, gate, messageId } = await startReply(service);
    await client.waitForEvent('llm_delta');
    await leave(client);
    gate.open();
    const back = await service.connect();
    back.send('llm_resume', { message_id: messageId, seq: 1 });
    const { data } = await back.waitForEnd();
    expect(data).toMatchObject({ response: 'one two three', finish_reason: 'stop' });
    expect(seqs(back.frames)).toEqual([2, 3]);
    expect(service.ollama.ledger.chats).toMatchObject([{ abortedByClient: false }]);
  });

  it('is told to a second tab as it is made', async () => {
    await using service = await RunningService.start();
    const { client, gate, messageId } = await startReply(service);
    const { body } = await service.call('/conversations/c1');
    expect(body['active_reply']).toBe(messageId);
    const tab = await service.connect();
    tab.send('llm_resume', { message_id: messageId, seq: 0 });
    await tab.waitForEvent('llm_delta');
    expect(textOf(tab.frames)).toBe('one two');
    gate.open();
    const ends = [await client.waitForEnd(), await tab.waitForEnd()];
    expect(ends[1]?.text).toBe(ends[0]?.text);
    expect(textOf(tab.frames)).toBe(textOf(client.frames));
    expect((await service.call('/conversations/c1')).body['active_reply']).toBeNull();
  });

  it('is watched once by a socket: a resume replaces what was there', async () => {
    await using service = await RunningService.start();
    const { client, gate, messageId } = await startReply(service);
    await client.waitForEvent('llm_delta');
    const from = client.frames.length;
    client.send('llm_resume', { message_id: messageId, seq: 0 });
    await client.waitForEvent('llm_delta', from);
    gate.open();
    await client.waitForEnd();
    await client.settle();
    expect(client.frames.filter(isEnd)).toHaveLength(1);
    expect(seqs(client.frames)).toEqual([1, 1, 2, 3]);
  });

  it('that has ended is told again from any place, its end always', async () => {
    await using service = await RunningService.start();
    const client = await service.connect();
    const { data, text } = await client.request('hello');
    const last = Number(data['seq']);
    for (const seq of [0, 1, last - 1, last]) {
      const from = client.frames.length;
      client.send('llm_resume', { message_id: data['message_id'], seq });
      expect((await client.waitForEnd(from)).text).toBe(text);
      const numbers = Array.from({ length: Math.max(1, last - seq) }, (_, index) => Math.min(seq + 1, last) + index);
      expect(seqs(client.frames.slice(from))).toEqual(numbers);
    }
  });

  it.each([
    ['a wrong digest', { seq: 1, at: 7, digest: '00000000' }],
    ['a wrong length', { seq: 1, at: 5 }],
    ['an event that nobody has', { seq: 99 }],
  ])('is given anew to a client with %s', async (_name, position) => {
    await using service = await RunningService.start();
    const { gate, messageId } = await startReply(service);
    const client = await service.connect();
    client.send('llm_resume', { message_id: messageId, ...position });
    const { data } = await client.waitFor(
      ({ event, data: { channel } }) => event === 'llm_rewind' && channel === 'content',
    );
    expect(data).toMatchObject({ seq: 1, to_at: 0, text: 'one two', reason: expect.any(String) });
    gate.open();
    await client.waitForEnd();
    expect(client.frames.filter(({ event }) => event === 'llm_delta')).toMatchObject([
      { data: { seq: 2, at: 7, text: ' three' } },
    ]);
  });

  it('goes on without a rewind for a client that has what is stored', async () => {
    await using service = await RunningService.start();
    const client = await service.connect();
    const { data } = await client.request('[[say:one two]]', { stream: 'none' });
    const { message_id, length, digest, seq } = data;
    client.send('llm_resume', { message_id, seq: Number(seq) - 1, at: length, digest });
    const { text } = await client.waitForEnd(client.frames.length);
    expect(JSON.parse(text)).toMatchObject({ event: 'llm_response' });
    expect(client.frames.some(({ event }) => event === 'llm_rewind')).toBe(false);
  });

  it('that nobody has cannot be followed', async () => {
    await using service = await RunningService.start();
    const client = await service.connect();
    client.send('llm_resume', { message_id: 'msg_none', seq: 0 });
    const { data } = await client.waitForEnd();
    expect(data).toMatchObject({ code: 'not_found', retryable: false, message_id: 'msg_none' });
  });

  it('ends for those who watch when its conversation is deleted', async () => {
    await using service = await RunningService.start();
    const { client } = await startReply(service);
    await client.waitForEvent('llm_delta');
    expect((await service.call('/conversations/c1', { method: 'DELETE' })).status).toBe(200);
    const { data } = await client.waitForEnd();
    expect(data).toMatchObject({ finish_reason: 'cancelled', response: 'one two' });
  });
});

describe('stream', () => {
  it('"delta" gives the text in pieces', async () => {
    await using service = await RunningService.start();
    const { client, gate } = await startReply(service, { stream: 'delta' });
    gate.open();
    await client.waitForEnd();
    expect(client.frames.filter(({ event }) => event === 'llm_delta').map(({ data }) => data)).toMatchObject([
      { seq: 1, at: 0, text: 'one two', channel: 'content' },
      { seq: 2, at: 7, text: ' three', channel: 'content' },
    ]);
    expect(client.frames.some(({ data }) => 'response' in data && 'at' in data)).toBe(false);
  });

  it('"cumulative" gives each channel’s whole text with every piece', async () => {
    await using service = await RunningService.start();
    const client = await service.connect();
    const { data } = await client.request('[[pace:1]]', { stream: 'cumulative', think: true });
    const texts = { content: '', thinking: '' };
    for (const frame of client.frames.filter(({ event }) => event === 'llm_delta')) {
      const { channel, text, at, response } = frame.data as Record<string, string>;
      expect(Number(at)).toBe(texts[channel as keyof typeof texts].length);
      texts[channel as keyof typeof texts] += text;
      expect(response).toBe(texts[channel as keyof typeof texts]);
    }
    expect(texts.content).toBe(data['response']);
    expect(texts.thinking).not.toBe('');
  });

  it('"cumulative" is resumed with the whole text', async () => {
    await using service = await RunningService.start();
    const { gate, messageId } = await startReply(service);
    const client = await service.connect();
    client.send('llm_resume', { message_id: messageId, seq: 1, at: 7, stream: 'cumulative' });
    await client.waitFor(({ event, data: { channel } }) => event === 'llm_rewind' && channel === 'content');
    gate.open();
    await client.waitForEnd();
    expect(client.frames.find(({ event }) => event === 'llm_delta')?.data).toMatchObject({
      seq: 2,
      text: ' three',
      response: 'one two three',
    });
  });

  it('"none" gives no text before the end', async () => {
    await using service = await RunningService.start();
    const { client, gate } = await startReply(service, { stream: 'none' });
    gate.open();
    const { data } = await client.waitForEnd();
    expect(data).toMatchObject({ response: 'one two three', seq: 3 });
    expect(new Set(client.frames.map(({ event }) => event))).toEqual(
      new Set(['llm_accepted', 'llm_status', 'llm_response']),
    );
  });
});
