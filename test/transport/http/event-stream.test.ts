import { describe, expect, it } from 'vitest';
import { createGatedReply } from '../../support/gated-reply.ts';
import type { ServerEvent } from '../../support/event-source-reader.ts';
import { RunningService } from '../../support/running-service.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';

const ask = (user_input: string, fields: object = {}) => ({
  body: { conversation_id: 'c1', user_input, ...fields },
});

const textOf = (events: readonly ServerEvent[]): string =>
  events.map(({ event, data }) => (event === 'llm_delta' ? data['text'] : '')).join('');

const idsOf = (events: readonly ServerEvent[]) => events.flatMap(({ id }) => id ?? []);

/** A reply that has said `one two` and waits. */
const startReply = async (service: RunningService, fields: object = {}) => {
  const { script, gate } = createGatedReply();
  service.ollama.next(script);
  const events = await service.openEvents('/generate_response', ask('hello', fields));
  const { data } = await events.waitForEvent('llm_accepted');
  const messageId = String(data['message_id']);
  return { events, gate, messageId };
};

describe('a stream of server-sent events', () => {
  it.each([
    ['stream: true', { stream: true }, 'application/json'],
    ['stream: "delta"', { stream: 'delta' }, '*/*'],
    ['Accept: text/event-stream', {}, 'text/event-stream'],
  ])('tells the socket’s events, for %s', async (_name, fields, accept) => {
    await using service = await RunningService.start();
    const events = await service.openEvents('/generate_response', { ...ask('hello', fields), headers: { accept } });
    expect(await events.ended).toBe('ended');
    const [first] = events.events;
    const last = events.events.at(-1);
    expect(first).toMatchObject({ event: 'llm_accepted', id: undefined, data: { conversation_id: 'c1' } });
    expect(last).toMatchObject({ event: 'llm_response', data: { response: textOf(events.events) } });
    const messageId = String(first?.data['message_id']);
    const ids = idsOf(events.events);
    expect(ids).toEqual(ids.map((_, index) => `${messageId}:${index + 1}`));
  });

  it('sends status and headers when the reply is accepted, and says what no cache may do', async () => {
    await using service = await RunningService.start();
    const { script, gate } = createGatedReply('');
    service.ollama.next(script);
    const events = await service.openEvents('/generate_response', {
      ...ask('hello'),
      headers: { origin: 'http://localhost:5173' },
    });
    expect(events.status).toBe(200);
    expect(events.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect(events.headers.get('cache-control')).toBe('no-cache, no-transform');
    expect(events.headers.get('x-content-type-options')).toBe('nosniff');
    expect(events.headers.get('access-control-allow-origin')).toBe('http://localhost:5173');
    await events.waitForComment(': connected');
    await gate.reached;
    gate.open();
    expect(await events.ended).toBe('ended');
  });

  it('gives whole texts where it is asked for cumulative', async () => {
    await using service = await RunningService.start();
    const { events, gate } = await startReply(service, { stream: 'cumulative' });
    await events.waitForEvent('llm_delta');
    gate.open();
    await events.ended;
    const deltas = events.events.filter(({ event }) => event === 'llm_delta');
    expect(deltas.map(({ data }) => data['response'])).toEqual(['one two', 'one two three']);
  });

  it('refuses before it begins, with a status', async () => {
    await using service = await RunningService.start();
    const { status, body } = await service.post('/generate_response', {
      ...ask('hello').body,
      stream: true,
      model: 'none',
    });
    expect({ status, code: body['code'] }).toEqual({ status: 404, code: 'model_not_found' });
  });

  it('ends cleanly with a numbered llm_error', async () => {
    await using service = await RunningService.start();
    const events = await service.openEvents('/generate_response', ask('[[error-line:3]]'));
    expect(await events.ended).toBe('ended');
    const last = events.events.at(-1);
    expect(last).toMatchObject({ event: 'llm_error', data: { code: 'backend_error', seq: expect.any(Number) } });
    expect(last?.id).toBe(`${String(last?.data['message_id'])}:${String(last?.data['seq'])}`);
  });

  it('says what a silent reply is doing, at least every 10 s', async () => {
    const clock = new VirtualClock();
    await using service = await RunningService.start({ surroundings: { clock } });
    const { events, gate } = await startReply(service);
    await events.waitForEvent('llm_delta');
    const from = events.events.length;
    await clock.jump(12_000);
    await events.waitFor(({ event }) => event === 'llm_status' && events.events.length > from);
    gate.open();
    expect(await events.ended).toBe('ended');
  });

  it('that cannot end with the reply’s end is broken off, and never ends cleanly', async () => {
    await using service = await RunningService.start();
    const { events } = await startReply(service);
    await events.waitForEvent('llm_delta');
    await service.stop();
    expect(await events.ended).toBe('broken');
    expect(events.events.some(({ event }) => event === 'llm_response')).toBe(false);
  });

  it('that is left stops nothing', async () => {
    await using service = await RunningService.start();
    const { events, gate, messageId } = await startReply(service);
    await events.waitForEvent('llm_delta');
    events[Symbol.dispose]();
    await events.ended;
    gate.open();
    const again = await service.openEvents(`/replies/${messageId}/events`);
    expect(await again.waitForEvent('llm_response')).toMatchObject({ data: { response: 'one two three' } });
    expect(service.ollama.ledger.chats).toMatchObject([{ abortedByClient: false }]);
  });

  it('holds back for a client that does not read, which gets all of it in the end', async () => {
    await using service = await RunningService.start();
    const word = 'x'.repeat(9);
    service.ollama.next([...Array.from({ length: 20_000 }, () => ({ say: `${word} ` })), { done: true }]);
    const { body } = await service.post('/generate_response', ask('hello').body);
    const path = `/replies/${String(body['message_id'])}/events`;
    const streams = await Promise.all(Array.from({ length: 20 }, () => service.openEvents(path)));
    for (const events of streams) {
      expect(await events.ended).toBe('ended');
      expect(textOf(events.events)).toBe(body['response']);
    }
  });
});

describe('Last-Event-ID', () => {
  it('resumes a POST behind that event, and begins nothing', async () => {
    await using service = await RunningService.start();
    const { events, gate, messageId } = await startReply(service);
    await events.waitForEvent('llm_delta');
    const headers = { 'last-event-id': `${messageId}:1` };
    const back = await service.openEvents('/generate_response', { ...ask('hello'), headers });
    gate.open();
    expect(await back.ended).toBe('ended');
    expect(idsOf(back.events)).toEqual([`${messageId}:2`, `${messageId}:3`]);
    expect(textOf(back.events)).toBe(' three');
    const late = await service.openEvents('/generate_response', { ...ask('hello', { stream: 'none' }), headers });
    expect(await late.ended).toBe('ended');
    expect(late.events.map(({ event }) => event)).toEqual(['llm_response']);
    expect(service.ollama.ledger.chats).toHaveLength(1);
  });

  it.each([['msg_none:3'], ['3'], ['nonsense'], [':']])('that nobody knows begins nothing either: %s', async (id) => {
    await using service = await RunningService.start();
    const { status, body } = await service.post('/generate_response', ask('hello').body, { 'last-event-id': id });
    expect({ status, code: body['code'] }).toEqual({ status: 404, code: 'not_found' });
    expect(service.ollama.ledger.chats).toHaveLength(0);
    expect((await service.call('/conversations/c1')).status).toBe(404);
  });

  it('of another conversation is not taken for this one', async () => {
    await using service = await RunningService.start();
    const { body } = await service.post('/generate_response', ask('hello').body);
    const headers = { 'last-event-id': `${String(body['message_id'])}:1` };
    const answer = await service.post('/generate_response', { conversation_id: 'c2', user_input: 'hello' }, headers);
    expect(answer).toMatchObject({ status: 404, body: { code: 'not_found' } });
  });

  it('resumes a GET, as after does', async () => {
    await using service = await RunningService.start();
    const { body } = await service.post('/generate_response', ask('[[say:one two]]').body);
    const { message_id, seq } = body as { message_id: string; seq: number };
    const path = `/replies/${message_id}/events`;
    const rest = Array.from({ length: seq - 1 }, (_, index) => `${message_id}:${index + 2}`);
    const byHeader = await service.openEvents(path, { headers: { 'last-event-id': `${message_id}:1` } });
    const byQuery = await service.openEvents(`${path}?after=1`);
    await Promise.all([byHeader.ended, byQuery.ended]);
    expect([idsOf(byHeader.events), idsOf(byQuery.events)]).toEqual([rest, rest]);
    const ended = await service.openEvents(path, { headers: { 'last-event-id': `${message_id}:${seq}` } });
    expect(await ended.ended).toBe('ended');
    expect(idsOf(ended.events)).toEqual([`${message_id}:${seq}`]);
  });
});

describe('GET /replies/{message_id}/events as JSON', () => {
  it('gives page after page', async () => {
    await using service = await RunningService.start();
    const socket = await service.connect();
    const { data } = await socket.request('[[pace:2]]', { think: true });
    const numbered = socket.frames
      .filter((frame) => frame.data['seq'] !== undefined)
      .map(({ text }) => JSON.parse(text));
    const path = `/replies/${String(data['message_id'])}/events`;
    const events: unknown[] = [];
    for (let after = 0; ;) {
      const { status, body } = await service.call(`${path}?after=${after}&limit=2`, {
        headers: { accept: 'application/json' },
      });
      expect({ status, success: body['success'] }).toEqual({ status: 200, success: true });
      const page = body['events'] as readonly unknown[];
      if (page.length === 0) break;
      expect(page.length).toBeLessThanOrEqual(2);
      events.push(...page);
      after = Number(body['next_after']);
    }
    expect(events).toEqual(numbered);
  });

  it.each(['limit=0', 'limit=1001', 'after=-1', 'after=x', 'before=1'])('refuses %s', async (query) => {
    await using service = await RunningService.start();
    const { status, body } = await service.call(`/replies/msg_demo/events?${query}`, {
      headers: { accept: 'application/json' },
    });
    expect({ status, code: body['code'] }).toEqual({ status: 400, code: 'invalid_request' });
    expect(body['error']).toContain(query.split('=')[0]);
  });
});
