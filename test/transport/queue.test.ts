import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Variables } from '../../src/config.ts';
import { createGatedReply } from '../support/gated-reply.ts';
import { RunningService } from '../support/running-service.ts';
import { createGate, type Script } from '../support/scripted-ollama/scripted-ollama.ts';
import { isEnd, type Frame, type SocketClient } from '../support/socket-client.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

/** Far more than the service asks for at once: so its ledger shows what the service allows. */
const OLLAMA = { parallel: 100 };

/** A service with one slot, unless it is said otherwise, whose clock stands still. */
const start = async (settings: Variables = {}) => {
  const clock = new VirtualClock();
  const service = await RunningService.start({
    ollama: OLLAMA,
    settings: { LLM_CONCURRENCY: '1', ...settings },
    surroundings: { clock },
  });
  return { service, clock, [Symbol.asyncDispose]: () => service[Symbol.asyncDispose]() };
};

const ask = (service: RunningService, conversation_id: string, fields: object = {}, headers = {}) =>
  service.post('/generate_response', { conversation_id, user_input: conversation_id, ...fields }, headers);

/** Takes a slot until its gate is opened. */
const hold = async (service: RunningService, conversation = 'held') => {
  const { script, gate } = createGatedReply();
  service.ollama.next(script);
  const { body } = await ask(service, conversation, { background: true });
  await gate.reached;
  return { gate, messageId: String(body['message_id']) };
};

/** One reply of `ms`, so that it is known how long a slot is taken. */
const measure = async ({ service, clock }: Awaited<ReturnType<typeof start>>, ms: number): Promise<void> => {
  const { gate, messageId } = await hold(service, 'measured');
  await clock.advance(ms);
  gate.open();
  using events = await service.openEvents(`/replies/${messageId}/events`);
  await events.waitForEvent('llm_response');
};

const positionsOf = (frames: readonly Frame[], messageId: unknown): readonly number[] =>
  frames
    .filter(({ data }) => data['message_id'] === messageId && data['state'] === 'queued')
    .map(({ data }) => Number(data['position']));

const waitForPosition = (client: SocketClient, position: number): Promise<Frame> =>
  client.waitFor(({ data }) => data['state'] === 'queued' && data['position'] === position, `position ${position}`);

const prompts = ({ ollama }: RunningService): readonly string[] => ollama.ledger.chats.map(({ prompt }) => prompt);

describe('64 requests before two slots', () => {
  it('are never more than two at the backend; who finds no place is told at once, and when to come back', async () => {
    await using rig = await start({ LLM_CONCURRENCY: '2', LLM_QUEUE_LIMIT: '30' });
    const { service } = rig;
    await measure(rig, 4_000);
    const gate = createGate();
    const script: Script = { steps: [{ waitFor: gate }, { say: 'done' }, { done: true }] };
    service.ollama.next(...Array.from({ length: 32 }, () => script));
    const client = await service.connect();
    for (let index = 0; index < 64; index++) {
      client.ask(`q${index}`, { conversation_id: `c${index}`, request_id: 'r1', stream: 'none' });
    }
    await client.settle();
    await client.settle();

    const refused = client.frames.filter(({ event }) => event === 'llm_error');
    expect(refused).toHaveLength(32); // before anybody's turn is over
    for (const { data } of refused) {
      expect(data).toMatchObject({ code: 'queue_full', retryable: true, retry_after_ms: 2_000, request_id: 'r1' });
      for (const name of ['message_id', 'seq']) expect(data).not.toHaveProperty(name);
    }
    await waitForPosition(client, 30);
    gate.open();
    while (client.frames.filter(isEnd).length < 64) await rig.clock.settle();

    const accepted = client.frames
      .filter(({ event }) => event === 'llm_accepted')
      .map(({ data }) => data['message_id']);
    expect(accepted).toHaveLength(32);
    const positions = accepted.map((messageId) => positionsOf(client.frames, messageId));
    for (const told of positions) {
      expect(told).toEqual([...new Set(told)].toSorted((a, b) => b - a));
      expect(told.at(-1) ?? 1).toBeGreaterThanOrEqual(1);
    }
    expect(positions.filter((told) => told.length > 0)).toHaveLength(30);
    expect(Math.max(...positions.flat())).toBe(30);
    expect(service.ollama.ledger.maxRunning).toBe(2);
    expect(service.ollama.ledger.chats).toHaveLength(33);

    const again = refused.slice(0, 5).map(({ data }) => String(data['conversation_id']));
    for (const conversation of again) {
      const answer = await ask(service, conversation, { request_id: 'r1', user_input: conversation.replace('c', 'q') });
      expect(answer.status).toBe(200); // as refused: under the same id
    }
  });
});

describe('a full queue', () => {
  it('refuses over HTTP with Retry-After, before anything is asked of the backend, and stores nothing', async () => {
    await using rig = await start({ LLM_QUEUE_LIMIT: '1', LLM_RATE_LIMIT: '4' });
    const { service } = rig;
    await measure(rig, 3_000);
    const { gate } = await hold(service);
    const queued = await ask(service, 'queued', { background: true });
    const before = service.ollama.ledger.entries.length;
    const refused = await Promise.all(Array.from({ length: 10 }, () => ask(service, 'c1', { request_id: 'r1' })));
    for (const { status, headers, body } of refused) {
      expect({ status, retryAfter: headers.get('retry-after') }).toEqual({ status: 503, retryAfter: '3' });
      expect(body).toMatchObject({ success: false, code: 'queue_full', retryable: true, retry_after_ms: 3_000 });
      for (const name of ['message_id', 'seq', 'limit']) expect(body).not.toHaveProperty(name);
    }
    expect(service.ollama.ledger.entries).toHaveLength(before);
    expect((await service.call('/conversations/c1')).status).toBe(404);
    gate.open();
    using events = await service.openEvents(`/replies/${String(queued.body['message_id'])}/events`);
    await events.waitForEvent('llm_response');
    const another = { request_id: 'r1', user_input: 'another body: the id was not used' };
    expect((await ask(service, 'c1', another)).status).toBe(200); // the fourth of the minute: refusals cost nothing
    expect((await ask(service, 'c1')).status).toBe(429);
  });

  it('names the same wait after any number of requests that were refused for other reasons', async () => {
    await using rig = await start({ LLM_QUEUE_LIMIT: '0' });
    const { service } = rig;
    await measure(rig, 20_000);
    for (let index = 0; index < 50; index++) expect((await ask(service, 'c1', { model: 'none' })).status).toBe(404);
    await hold(service);
    expect((await ask(service, 'c1')).body).toMatchObject({ code: 'queue_full', retry_after_ms: 20_000 });
  });

  it('refuses before it ends the reply that was to be interrupted', async () => {
    await using rig = await start({ LLM_QUEUE_LIMIT: '0' });
    const { gate, messageId } = await hold(rig.service, 'c1');
    expect((await ask(rig.service, 'c1', { if_busy: 'interrupt' })).body).toMatchObject({ code: 'queue_full' });
    using events = await rig.service.openEvents(`/replies/${messageId}/events`);
    gate.open();
    expect((await events.waitForEvent('llm_response')).data).toMatchObject({ finish_reason: 'stop' });
  });

  it('does not concern ELIZA, who needs no host', async () => {
    await using rig = await start({ LLM_QUEUE_LIMIT: '0' });
    await rig.service.ollama.kill();
    const asked = Promise.all(['c1', 'c2', 'c3', 'c4'].map((conversation) => ask(rig.service, conversation)));
    await rig.clock.advance(30_000);
    for (const answer of await asked) expect(answer).toMatchObject({ status: 200, body: { model: 'eliza' } });
  });
});

describe('the queue', () => {
  it('is fair between callers: one of another waits for one of twenty', async () => {
    const keys = ['ann', 'bob'].map((owner) => `${owner}.${randomBytes(32).toString('base64url')}`);
    const [ann, bob] = keys.map((key) => ({ authorization: `Bearer ${key}` }));
    await using rig = await start({ API_KEYS: keys.join(',') });
    const { service } = rig;
    const { script, gate } = createGatedReply();
    service.ollama.next(script);
    await ask(service, 'ann0', { background: true }, ann);
    await gate.reached;
    for (let index = 1; index <= 20; index++) await ask(service, `ann${index}`, { background: true }, ann);
    const answered = ask(service, 'bob0', {}, bob);
    while (service.chat.load.waiting < 21) await rig.clock.settle();
    gate.open();
    expect((await answered).status).toBe(200);
    await service.ollama.ledger.until(({ chats, running }) => chats.length === 22 && running === 0);
    expect(prompts(service).slice(0, 4)).toEqual(['ann0', 'ann1', 'bob0', 'ann2']);
    expect(prompts(service).filter((prompt) => prompt !== 'bob0')).toEqual(
      Array.from({ length: 21 }, (_, index) => `ann${index}`),
    );
    expect(service.ollama.ledger.maxRunning).toBe(1);
  });

  it('tells place and expected wait over the socket, and again whenever one moves up', async () => {
    await using rig = await start();
    const { service, clock } = rig;
    await measure(rig, 5_000);
    const { gate } = await hold(service);
    const client = await service.connect();
    client.ask('one', { conversation_id: 'c1' });
    await waitForPosition(client, 1);
    client.ask('two', { conversation_id: 'c2' });
    const second = await waitForPosition(client, 2);
    expect(second.data).toEqual({
      message_id: second.data['message_id'],
      state: 'queued',
      position: 2,
      expected_ms: 10_000,
    });
    await clock.advance(10_000);
    await client.waitForEvent('llm_status', client.frames.indexOf(second) + 1);
    gate.open();
    const end = await client.waitFor((frame) => isEnd(frame) && frame.data['conversation_id'] === 'c2');
    expect(positionsOf(client.frames, end.data['message_id'])).toEqual([2, 2, 1]);
  });

  it('tells it in a stream of events, and counts the wait in the timings', async () => {
    await using rig = await start();
    const { service, clock } = rig;
    const { gate } = await hold(service);
    const events = await service.openEvents('/generate_response', {
      method: 'POST',
      body: { conversation_id: 'c1', user_input: 'hello' },
    });
    const queued = await events.waitForEvent('llm_status');
    expect(queued).toMatchObject({ id: undefined, data: { state: 'queued', position: 1 } });
    await clock.advance(7_000);
    gate.open();
    const { data } = await events.waitForEvent('llm_response');
    expect(data['timings']).toMatchObject({ queued_ms: 7_000, load_ms: 0, first_token_ms: 7_000, total_ms: 7_000 });
    const states = events.events.filter(({ event }) => event === 'llm_status').map((event) => event.data['state']);
    expect(states).toEqual(['queued', 'generating']);
  });

  it('is left at once by who cancels: the others move up, and the backend is never asked', async () => {
    await using rig = await start();
    const { service } = rig;
    const { gate } = await hold(service);
    const client = await service.connect();
    client.ask('one', { conversation_id: 'c1', request_id: 'r1' });
    await waitForPosition(client, 1);
    const behind = await service.connect();
    behind.ask('two', { conversation_id: 'c2' });
    await waitForPosition(behind, 2);
    client.send('llm_cancel', { conversation_id: 'c1', request_id: 'r1' });
    expect(await client.waitForEnd()).toMatchObject({
      event: 'llm_response',
      data: { finish_reason: 'cancelled', response: '', seq: 1 },
    });
    await client.waitFor(({ data }) => data['state'] === 'released');
    await waitForPosition(behind, 1);
    gate.open();
    expect((await behind.waitForEnd()).event).toBe('llm_response');
    expect(prompts(service)).toEqual(['held', 'two']);
  });

  it('is left by who deletes the conversation', async () => {
    await using rig = await start();
    const { service } = rig;
    await hold(service);
    const client = await service.connect();
    client.ask('one', { conversation_id: 'c1' });
    await waitForPosition(client, 1);
    expect((await service.call('/conversations/c1', { method: 'DELETE' })).status).toBe(200);
    await client.waitForEnd();
    while (service.chat.load.waiting > 0) await rig.clock.settle();
    expect(prompts(service)).toEqual(['held']);
  });

  it('is not left by who only goes away', async () => {
    await using rig = await start();
    const { service } = rig;
    const { gate } = await hold(service);
    const client = await service.connect();
    client.ask('one', { conversation_id: 'c1' });
    const { data } = await waitForPosition(client, 1);
    client.socket.terminate();
    await client.closed;
    gate.open();
    using events = await service.openEvents(`/replies/${String(data['message_id'])}/events`);
    expect((await events.waitForEvent('llm_response')).data).toMatchObject({ finish_reason: 'stop' });
  });

  it('lets nobody wait for longer than LLM_QUEUE_TIMEOUT: the reply ends as queue_full, and a new one may follow', async () => {
    await using rig = await start({ LLM_QUEUE_TIMEOUT: '5' });
    const { service, clock } = rig;
    const { gate } = await hold(service);
    const client = await service.connect();
    client.ask('one', { conversation_id: 'c1', request_id: 'r1' });
    await waitForPosition(client, 1);
    const overHttp = ask(service, 'c2', { request_id: 'r1' });
    while (service.chat.load.waiting < 2) await clock.settle();
    await clock.advance(5_000);
    const { data } = await client.waitForEnd();
    expect(data).toMatchObject({ code: 'queue_full', retryable: true, seq: 1, message_id: expect.any(String) });
    expect(Number(data['retry_after_ms'])).toBeGreaterThan(0);
    const answer = await overHttp;
    expect(answer).toMatchObject({ status: 503, body: { code: 'queue_full', seq: 1 } });
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await service.call(`/replies/${String(data['message_id'])}`)).body['state']).toBe('failed');
    expect((await client.request('one', { conversation_id: 'c1', request_id: 'r1' })).data).toMatchObject(data);
    gate.open();
    expect((await ask(service, 'c1', { request_id: 'r2' })).status).toBe(200); // it had a seq: under a new id
    expect(prompts(service)).toEqual(['held', 'c1']);
  });

  it('keeps back what LLM_HOST_RATE does not let the host begin, until it is cancelled', async () => {
    await using rig = await start({ LLM_HOST_RATE: '1' });
    const { service } = rig;
    expect((await ask(service, 'c1')).status).toBe(200);
    const client = await service.connect();
    client.ask('two', { conversation_id: 'c2' });
    const { data } = await waitForPosition(client, 1);
    await rig.clock.settle();
    client.send('llm_cancel', { message_id: data['message_id'] });
    expect((await client.waitForEnd()).data).toMatchObject({ finish_reason: 'cancelled' });
    await client.waitFor((frame) => frame.data['state'] === 'released');
    expect(prompts(service)).toEqual(['c1']);
    expect(service.chat.load).toMatchObject({ serving: 0 });
  });

  it('goes on behind a reply that fails or is cancelled', async () => {
    await using rig = await start();
    const { service } = rig;
    const { messageId } = await hold(service);
    const client = await service.connect();
    client.ask('[[error-line:3]]', { conversation_id: 'c1' });
    await waitForPosition(client, 1);
    const last = ask(service, 'c2');
    while (service.chat.load.waiting < 2) await rig.clock.settle();
    await service.call(`/replies/${messageId}/cancel`, { method: 'POST' });
    expect((await client.waitForEnd()).data).toMatchObject({ code: 'backend_error' });
    expect((await last).status).toBe(200);
  });
});

describe('a service that stops while requests are queued', () => {
  it('lets them have their turn, and takes no more', async () => {
    await using rig = await start();
    const { service } = rig;
    const { gate } = await hold(service);
    const queued = ask(service, 'c1');
    while (service.chat.load.waiting < 1) await rig.clock.settle();
    const drained = service.chat.drain(12_000);
    expect((await ask(service, 'c2')).body).toMatchObject({ code: 'draining', retryable: true });
    gate.open();
    expect((await queued).status).toBe(200);
    await drained;
  });

  it('ends as interrupted who has not had it in time', async () => {
    await using rig = await start();
    const { service } = rig;
    await hold(service);
    const client = await service.connect();
    client.ask('one', { conversation_id: 'c1' });
    await waitForPosition(client, 1);
    const drained = service.chat.drain(12_000);
    await rig.clock.advance(12_000);
    expect((await client.waitForEnd()).data).toMatchObject({ code: 'interrupted', retryable: true, seq: 1 });
    await drained;
    expect(prompts(service)).toEqual(['held']);
    expect(service.chat.load).toMatchObject({ waiting: 0, running: 0 });
  });
});

describe('GET /health', () => {
  it('counts who waits, who is served, and the replies that are written', async () => {
    await using rig = await start({ LLM_CONCURRENCY: '2' });
    const { service } = rig;
    const gates = [await hold(service, 'h1'), await hold(service, 'h2')];
    const asked = ['c1', 'c2', 'c3'].map((conversation) => ask(service, conversation));
    while (service.chat.load.waiting < 3) await rig.clock.settle();
    expect((await service.call('/health')).body).toMatchObject({
      success: true,
      status: 'ok',
      store: { status: 'up' },
      backend: { provider: 'ollama', status: 'up', host: service.ollama.url },
      queue: { waiting: 3, serving: 2 },
      running: 5,
      draining: false,
    });
    for (const { gate } of gates) gate.open();
    await Promise.all(asked);
    expect((await service.call('/health')).body).toMatchObject({ queue: { waiting: 0, serving: 0 }, running: 0 });
    await service.chat.drain(0);
    expect(await service.call('/health')).toMatchObject({
      status: 503,
      body: { success: false, status: 'unavailable', draining: true },
    });
  });
});

describe('the time of a reply that waits', () => {
  it('begins with its turn: LLM_TURN_TIMEOUT does not run in the queue', async () => {
    await using rig = await start({ LLM_TURN_TIMEOUT: '20', LLM_TIMEOUT: '600' });
    const { gate } = await hold(rig.service);
    const { script, gate: second } = createGatedReply();
    rig.service.ollama.next(script);
    const client = await rig.service.connect();
    client.ask('waits', { conversation_id: 'waits' });
    await waitForPosition(client, 1);
    await rig.clock.advance(15_000);
    gate.open();
    await second.reached;
    await rig.clock.advance(15_000);
    second.open();
    const { data } = await client.waitFor(isEnd, 'the end');
    expect(data).toMatchObject({ success: true, timings: { queued_ms: 15_000 } });
  });

  it('is told as queued when it ends there', async () => {
    await using rig = await start();
    const { gate } = await hold(rig.service);
    const { body } = await ask(rig.service, 'waits', { background: true });
    await rig.clock.advance(15_000);
    await rig.service.call(`/replies/${String(body['message_id'])}/cancel`, { method: 'POST' });
    const reply = await rig.service.call(`/replies/${String(body['message_id'])}`);
    expect(reply.body).toMatchObject({ state: 'cancelled', timings: { queued_ms: 15_000 } });
    gate.open();
  });
});
