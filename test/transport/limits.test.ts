import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createGatedReply } from '../support/gated-reply.ts';
import { RunningService, type Answer, type RunningServiceOptions } from '../support/running-service.ts';
import { isEnd } from '../support/socket-client.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

const MINUTE_MS = 60_000;

/** A service whose minutes pass when the test says so. */
const start = async ({ settings, ...options }: RunningServiceOptions = {}) => {
  const clock = new VirtualClock();
  const limits = { LLM_RATE_LIMIT: '3', LLM_MAX_CONCURRENT: '100' };
  const service = await RunningService.start({
    ...options,
    settings: { ...limits, ...settings },
    surroundings: { clock },
  });
  return { service, clock, [Symbol.asyncDispose]: () => service[Symbol.asyncDispose]() };
};

const ask = (service: RunningService, fields: object = {}, headers: Readonly<Record<string, string>> = {}) =>
  service.post('/generate_response', { conversation_id: 'c1', user_input: 'hello', ...fields }, headers);

const statuses = (answers: readonly Answer[]): readonly number[] => answers.map(({ status }) => status);

/** Asks one after the other; of each, its status. */
const askTimes = async (count: number, ...call: Parameters<typeof ask>): Promise<readonly number[]> => {
  const answers: Answer[] = [];
  for (let index = 0; index < count; index++) answers.push(await ask(...call));
  return statuses(answers);
};

const holdReply = async (service: RunningService, fields: object) => {
  const { script, gate } = createGatedReply();
  service.ollama.next(script);
  const { body } = await ask(service, { background: true, ...fields });
  await gate.reached;
  return { gate, messageId: String(body['message_id']) };
};

describe('LLM_RATE_LIMIT', () => {
  it.each([
    ['a whole answer', {}, {}],
    ['events', { stream: true }, {}],
    ['events, by what is accepted', {}, { accept: 'text/event-stream' }],
    ['the background', { background: true }, {}],
  ])(
    'refuses one request too many over HTTP, with what the client needs to know: %s',
    async (_name, fields, headers) => {
      await using rig = await start();
      await askTimes(3, rig.service);
      const refused = await ask(rig.service, fields, headers);
      expect(refused.status).toBe(429);
      expect(Object.fromEntries(refused.headers)).toMatchObject({
        'content-type': 'application/json; charset=utf-8',
        'retry-after': '60',
        'ratelimit-policy': '"requests";q=3;w=60',
        ratelimit: '"requests";r=0;t=60',
      });
      expect(refused.body).toMatchObject({
        success: false,
        code: 'rate_limited',
        retryable: true,
        limit: 3,
        remaining: 0,
        retry_after_ms: MINUTE_MS,
        conversation_id: 'c1',
      });
      for (const name of ['message_id', 'seq']) expect(refused.body).not.toHaveProperty(name);
    },
  );

  it('refuses it over the socket in the same words, and the socket stays open', async () => {
    await using rig = await start();
    const client = await rig.service.connect();
    for (let index = 0; index < 3; index++) await client.request('hello');
    const { event, data } = await client.request('hello', { request_id: 'r4' });
    expect(event).toBe('llm_error');
    const { body } = await ask(rig.service, { request_id: 'r4' });
    expect(data).toEqual({ ...body, timestamp: data['timestamp'] });
    expect(data).toMatchObject({ code: 'rate_limited', limit: 3, remaining: 0, retry_after_ms: MINUTE_MS });
    await client.settle();
  });

  it('holds in every sliding minute, and the wait that it names is enough and not too much', async () => {
    await using rig = await start();
    const { service, clock } = rig;
    for (let index = 0; index < 3; index++) {
      expect((await ask(service)).status).toBe(200);
      await clock.jump(20_000);
    }
    expect((await ask(service)).status).toBe(200); // the first is a minute old
    expect((await ask(service)).body).toMatchObject({ code: 'rate_limited', retry_after_ms: 20_000 });
    await clock.jump(19_999);
    expect((await ask(service, { request_id: 'again' })).body).toMatchObject({ retry_after_ms: 1 });
    await clock.jump(1);
    expect((await ask(service, { request_id: 'again' })).status).toBe(200); // as refused: under the same id
    expect((await ask(service)).status).toBe(429);
  });

  it('costs nothing to repeat, to resume or to read, and is answered when nothing is left', async () => {
    await using rig = await start({ settings: { LLM_RATE_LIMIT: '2' } });
    const { service } = rig;
    const first = await ask(service, { request_id: 'r1' });
    const client = await service.connect();
    const message_id = String(first.body['message_id']);
    const repeatAll = async () => {
      expect(await ask(service, { request_id: 'r1' })).toMatchObject({ status: 200, body: { message_id } });
      expect((await client.request('hello', { request_id: 'r1' })).data).toMatchObject({ message_id });
      const from = client.frames.length;
      client.send('llm_resume', { message_id, seq: 0 });
      expect((await client.waitForEnd(from)).event).toBe('llm_response');
      for (const path of [`/replies/${message_id}`, '/conversations/c1/messages', '/conversations']) {
        expect((await service.call(path)).status).toBe(200);
      }
    };
    await repeatAll();
    expect(await askTimes(2, service)).toEqual([200, 429]);
    await repeatAll();
    expect(service.ollama.ledger.chats).toHaveLength(2);
  });

  it('counts nothing that is refused', async () => {
    await using rig = await start({ settings: { LLM_RATE_LIMIT: '3' } });
    const { service } = rig;
    await ask(service, { request_id: 'r1' });
    const held = await holdReply(service, { conversation_id: 'busy' });
    const refused = [
      await ask(service, { conversation_id: 'busy' }),
      await ask(service, { request_id: 'r1', user_input: 'another' }),
      await ask(service, { model: 'none' }),
      await ask(service, { model: 'tiny-plain', think: true }),
      await ask(service, { user_input: 'word '.repeat(9_000) }),
      await ask(service, { max_tokens: 100_000 }),
      await ask(service, { system_prompt: 'too late' }),
    ];
    expect(statuses(refused)).toEqual([409, 422, 404, 400, 400, 400, 400]);
    held.gate.open();
    expect(await askTimes(2, service)).toEqual([200, 429]);
  });

  it('counts a request once, however often its backend is tried', async () => {
    await using rig = await start({ settings: { LLM_RATE_LIMIT: '2', LLM_MAX_RETRIES: '2' } });
    const { service, clock } = rig;
    service.ollama.next('busy', 'busy');
    const answered = ask(service);
    await service.ollama.ledger.until(({ chats }) => chats.length === 1);
    await clock.advance(10_000);
    expect((await answered).status).toBe(200);
    expect(service.ollama.ledger.chats).toHaveLength(3);
    expect(await askTimes(2, service)).toEqual([200, 429]);
  });

  it('counts a request once that comes fifty times at once over both wires, and asks the backend once', async () => {
    await using rig = await start({ settings: { LLM_RATE_LIMIT: '2' } });
    const { service } = rig;
    const clients = await Promise.all(Array.from({ length: 5 }, () => service.connect()));
    for (const client of clients) {
      for (let index = 0; index < 5; index++) client.ask('hello', { request_id: 'r1' });
    }
    const answers = await Promise.all(Array.from({ length: 25 }, () => ask(service, { request_id: 'r1' })));
    const ids = new Set(answers.map(({ body }) => body['message_id']));
    for (const client of clients) {
      await client.settle();
      const accepted = client.frames.filter(({ event }) => event === 'llm_accepted');
      expect(accepted).toHaveLength(5);
      for (const { data } of accepted) ids.add(data['message_id']);
    }
    expect(statuses(answers)).toEqual(Array.from({ length: 25 }, () => 200));
    expect(ids.size).toBe(1);
    expect(service.ollama.ledger.chats).toHaveLength(1);
    expect(await askTimes(2, service)).toEqual([200, 429]);
  });

  it('counts a request id anew behind a conversation that was deleted', async () => {
    await using rig = await start({ settings: { LLM_RATE_LIMIT: '2' } });
    const { service } = rig;
    const again = async (): Promise<number> => {
      const { status } = await ask(service, { request_id: 'r1' });
      await service.call('/conversations/c1', { method: 'DELETE' });
      return status;
    };
    expect([await again(), await again(), await again()]).toEqual([200, 200, 429]);
  });

  it('is each owner’s own, whichever of the owner’s keys is sent, from wherever', async () => {
    const keys = ['ada', 'ada', 'bob'].map((owner) => `${owner}.${randomBytes(32).toString('base64url')}`);
    await using rig = await start({ settings: { API_KEYS: keys.join(','), LLM_RATE_LIMIT: '2' } });
    const [first, second, bob] = keys.map((key) => ({ authorization: `Bearer ${key}` }));
    expect(await askTimes(1, rig.service, {}, first)).toEqual([200]);
    expect(await askTimes(2, rig.service, {}, second)).toEqual([200, 429]);
    expect(await askTimes(1, rig.service, {}, { ...first, 'x-forwarded-for': '203.0.113.9' })).toEqual([429]);
    expect(await askTimes(3, rig.service, {}, bob)).toEqual([200, 200, 429]);
  });

  it('asks the backend nothing for what it refuses', async () => {
    await using rig = await start({ settings: { LLM_RATE_LIMIT: '1' } });
    await ask(rig.service);
    const before = rig.service.ollama.ledger.entries.length;
    expect(await askTimes(5, rig.service)).toEqual([429, 429, 429, 429, 429]);
    expect(rig.service.ollama.ledger.entries).toHaveLength(before);
  });

  it('refuses before it ends the reply that was to be interrupted', async () => {
    await using rig = await start({ settings: { LLM_RATE_LIMIT: '1' } });
    const { gate, messageId } = await holdReply(rig.service, {});
    expect((await ask(rig.service, { if_busy: 'interrupt' })).status).toBe(429);
    const client = await rig.service.connect();
    client.send('llm_resume', { message_id: messageId, seq: 0 });
    gate.open();
    expect((await client.waitForEnd()).data).toMatchObject({ finish_reason: 'stop', response: 'one two three' });
  });
});

describe('an address, where nobody needs a key', () => {
  const from = (address: string) => ({ 'x-forwarded-for': address });

  it('is the caller, whatever the request says of itself', async () => {
    await using rig = await start();
    const forged = ['203.0.113.1', '203.0.113.2, 10.0.0.1', '::1', 'unknown'];
    const answers: Answer[] = [];
    for (const address of forged) answers.push(await ask(rig.service, {}, from(address)));
    expect(statuses(answers)).toEqual([200, 200, 200, 429]);
    const client = await rig.service.connect({ headers: from('203.0.113.3') });
    expect((await client.request('hello')).data).toMatchObject({ code: 'rate_limited' });
  });

  it('is what a trusted proxy says: clients are told apart, and none can choose', async () => {
    await using rig = await start({ settings: { TRUST_PROXY: '127.0.0.1' } });
    const { service } = rig;
    // The proxy adds the last address; what stands before it came with the request.
    const forged = ['9.9.9.1, 203.0.113.1', '9.9.9.2, 203.0.113.1', '127.0.0.2, 203.0.113.1', '203.0.113.1'];
    const answers: Answer[] = [];
    for (const address of forged) answers.push(await ask(service, {}, from(address)));
    expect(statuses(answers)).toEqual([200, 200, 200, 429]);
    const client = await service.connect({ headers: from('9.9.9.9, 203.0.113.1') });
    expect((await client.request('hello')).data).toMatchObject({ code: 'rate_limited' });
    expect(await askTimes(4, service, {}, from('203.0.113.2'))).toEqual([200, 200, 200, 429]);
    const other = await service.connect({ headers: from('203.0.113.3') });
    expect((await other.request('hello')).event).toBe('llm_response');
  });

  it('of IPv6 is its network: who has one address has all of them', async () => {
    await using rig = await start({ settings: { TRUST_PROXY: '127.0.0.1' } });
    const addresses = ['2001:db8:0:1::1', '2001:db8:0:1::2', '2001:0db8::1:ffff:0:0:3', '2001:db8:0:1:4::'];
    const answers: Answer[] = [];
    for (const address of addresses) answers.push(await ask(rig.service, {}, from(address)));
    expect(statuses(answers)).toEqual([200, 200, 200, 429]);
    expect((await ask(rig.service, {}, from('2001:db8:0:2::1'))).status).toBe(200);
  });
});

describe('LLM_MAX_CONCURRENT', () => {
  const settings = { LLM_RATE_LIMIT: '1000', LLM_MAX_CONCURRENT: '2', LLM_CONCURRENCY: '1' };

  it('counts what runs and what is queued, and refuses more on either wire', async () => {
    await using rig = await start({ settings });
    const { service } = rig;
    const { gate } = await holdReply(service, { conversation_id: 'running' });
    const queued = await ask(service, { conversation_id: 'queued', background: true });
    const refused = await ask(service, { request_id: 'r1' });
    expect(refused).toMatchObject({
      status: 429,
      body: { code: 'rate_limited', retryable: true, limit: 2, remaining: 0, retry_after_ms: expect.any(Number) },
    });
    expect(refused.headers.get('ratelimit-policy')).toBe('"replies";q=2;qu="concurrent-requests"');
    expect(refused.headers.get('ratelimit')).toBe('"replies";r=0');
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    const client = await service.connect();
    expect((await client.request('hello', { request_id: 'r1' })).data).toMatchObject({
      code: 'rate_limited',
      limit: 2,
    });
    gate.open();
    using events = await service.openEvents(`/replies/${String(queued.body['message_id'])}/events`);
    await events.waitForEvent('llm_response');
    expect((await ask(service, { request_id: 'r1' })).status).toBe(200); // as refused: under the same id
  });

  it('counts a reply that is queued for longer than its lease', async () => {
    await using rig = await start({ settings });
    const { service, clock } = rig;
    const { gate } = await holdReply(service, { conversation_id: 'running' });
    await ask(service, { conversation_id: 'queued', background: true });
    await clock.advance(20_000);
    expect((await ask(service)).status).toBe(429);
    gate.open();
  });

  it('has room again as soon as an end is told: a next question at once is never refused', async () => {
    await using rig = await start({ settings: { ...settings, LLM_MAX_CONCURRENT: '1' } });
    const client = await rig.service.connect();
    for (const text of ['hello', '[[error-line:3]]', 'hello', '[[empty]]', '[[busy]]', 'hello', 'hello', 'hello']) {
      const { data } = await client.request(text);
      expect(data['code']).not.toBe('rate_limited');
    }
  });

  it('has room again as soon as a reply is cancelled, running or queued', async () => {
    await using rig = await start({ settings });
    const { service } = rig;
    const { messageId } = await holdReply(service, { conversation_id: 'running' });
    const { body } = await ask(service, { conversation_id: 'queued', background: true });
    for (const id of [body['message_id'], messageId]) {
      expect((await ask(service, { conversation_id: 'more' })).status).toBe(429);
      expect((await service.call(`/replies/${String(id)}/cancel`, { method: 'POST' })).status).toBe(200);
      const next = await ask(service, { conversation_id: `after ${String(id)}`, background: true });
      expect(next.status).toBe(202);
    }
  });

  it('has room for what takes the place of a running reply', async () => {
    await using rig = await start({ settings: { ...settings, LLM_MAX_CONCURRENT: '1' } });
    const client = await rig.service.connect();
    for (let index = 0; index < 5; index++) {
      const { gate, messageId } = await holdReply(rig.service, { if_busy: 'interrupt' });
      const from = client.frames.length;
      client.ask('instead', { if_busy: 'interrupt' });
      expect((await client.waitForEnd(from)).event).toBe('llm_response');
      gate.open();
      expect((await rig.service.call(`/replies/${messageId}`)).body['state']).toBe('cancelled');
    }
    expect(client.frames.filter(isEnd)).toHaveLength(5);
  });
});
