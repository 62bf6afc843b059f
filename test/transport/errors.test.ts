import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import type { Variables } from '../../src/config.ts';
import { createGatedReply } from '../support/gated-reply.ts';
import { RunningService } from '../support/running-service.ts';

/** How a code is brought about: by settings, by what is done before, and by the fields of a request. */
interface Cause {
  readonly code: string;
  readonly status: number;
  readonly retryable: boolean;
  readonly settings?: Variables;
  readonly before?: (service: RunningService) => Promise<unknown>;
  readonly fields?: Readonly<Record<string, unknown>>;
  /** Where the request is what they are told of. */
  readonly has?: readonly string[];
}

const answered = (service: RunningService, fields: object = {}) =>
  service.post('/generate_response', { conversation_id: 'c1', user_input: 'hello', ...fields });

const keepBusy = async (service: RunningService): Promise<void> => {
  const { script, gate } = createGatedReply();
  service.ollama.next(script);
  await answered(service, { background: true });
  await gate.reached;
};

const keepHostBusy = async (service: RunningService): Promise<void> => {
  const { script, gate } = createGatedReply();
  service.ollama.next(script);
  await answered(service, { conversation_id: 'another', background: true });
  await gate.reached;
};

const causes: readonly Cause[] = [
  { code: 'invalid_request', status: 400, retryable: false, fields: { max_tokens: 100_000 } },
  { code: 'context_length_exceeded', status: 400, retryable: false, fields: { text: 'word '.repeat(9_000) } },
  { code: 'unsupported', status: 400, retryable: false, fields: { tools: [] } },
  { code: 'unsupported', status: 400, retryable: false, fields: { model: 'tiny-plain', think: true } },
  { code: 'model_not_found', status: 404, retryable: false, fields: { model: 'none' } },
  { code: 'conversation_busy', status: 409, retryable: false, before: keepBusy, has: ['active_message_id'] },
  { code: 'payload_too_large', status: 413, retryable: false, fields: { text: 'x'.repeat(70_000) } },
  {
    code: 'request_conflict',
    status: 422,
    retryable: false,
    before: (service) => answered(service, { request_id: 'r1' }),
    fields: { text: 'another', request_id: 'r1' },
  },
  {
    code: 'rate_limited',
    status: 429,
    retryable: true,
    settings: { LLM_RATE_LIMIT: '1' },
    before: answered,
    has: ['limit', 'remaining', 'retry_after_ms', 'request_id'],
  },
  {
    code: 'rate_limited',
    status: 429,
    retryable: true,
    settings: { LLM_MAX_CONCURRENT: '1' },
    before: keepHostBusy,
    has: ['limit', 'remaining', 'retry_after_ms', 'request_id'],
  },
  {
    code: 'queue_full',
    status: 503,
    retryable: true,
    settings: { LLM_CONCURRENCY: '1', LLM_QUEUE_LIMIT: '0' },
    before: keepHostBusy,
    has: ['retry_after_ms', 'request_id'],
  },
  {
    code: 'queue_full',
    status: 503,
    retryable: true,
    settings: { LLM_CONCURRENCY: '1', LLM_QUEUE_TIMEOUT: '0.1' },
    before: keepHostBusy,
    has: ['seq', 'message_id', 'retry_after_ms', 'usage'],
  },
  {
    code: 'draining',
    status: 503,
    retryable: true,
    before: (service) => service.chat.drain(0),
    has: ['retry_after_ms'],
  },
  {
    code: 'backend_unavailable',
    status: 503,
    retryable: true,
    settings: { NODE_ENV: 'production' },
    before: (service) => service.ollama.kill(),
  },
  {
    code: 'backend_unavailable',
    status: 503,
    retryable: true,
    fields: { text: '[[busy]]' },
    has: ['seq', 'message_id'],
  },
  {
    code: 'backend_timeout',
    status: 504,
    retryable: true,
    settings: { LLM_TIMEOUT: '0.1' },
    fields: { text: '[[stall]]' },
    has: ['seq', 'message_id'],
  },
  {
    code: 'backend_error',
    status: 502,
    retryable: true,
    fields: { text: '[[error-line:5]]' },
    has: ['seq', 'message_id', 'response', 'usage'],
  },
  { code: 'empty_response', status: 502, retryable: false, fields: { text: '[[empty]]' }, has: ['seq', 'message_id'] },
  {
    code: 'invalid_output',
    status: 502,
    retryable: false,
    fields: { text: '[[say:no JSON]]', format: 'json' },
    has: ['seq', 'message_id'],
  },
];

const BEGUN = ['seq', 'message_id'];

describe.each(causes)('$code', ({ code, status, retryable, settings = {}, before, fields = {}, has = [] }) => {
  const { text = 'hello', max_tokens, ...others } = fields;
  const options = max_tokens === undefined ? {} : { max_tokens };

  const expectError = (error: Readonly<Record<string, unknown>>): void => {
    expect(error).toMatchObject({ success: false, code, retryable, error: expect.stringMatching(/^.{20}/s) });
    expect(new Date(String(error['timestamp'])).toISOString()).toBe(error['timestamp']);
    for (const name of has) expect(error).toHaveProperty(name);
    for (const name of BEGUN) expect(name in error).toBe(has.includes(name));
  };

  it(`is ${status} over HTTP`, async () => {
    await using service = await RunningService.start({ settings });
    await before?.(service);
    const answer = await answered(service, { user_input: text, request_id: 'asked', ...options, ...others });
    expect(answer.status).toBe(status);
    expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expectError(answer.body);
    const retryAfter = answer.headers.get('retry-after');
    expect(retryAfter !== null).toBe(status === 503 || status === 429);
    const { retry_after_ms: waitMs } = answer.body as { retry_after_ms?: number };
    expect(waitMs === undefined || Number(retryAfter) === Math.ceil(waitMs / 1000)).toBe(true);
  });

  it('is an llm_error over the socket', async () => {
    await using service = await RunningService.start({ settings });
    await before?.(service);
    const client = await service.connect();
    const { event, data } = await client.request(String(text), { request_id: 'asked', options, ...others });
    expect(event).toBe('llm_error');
    expectError(data);
  });
});

const passing = causes.filter(({ retryable, before }) => retryable && before === undefined);

it.each(passing)(
  'what says that it is retryable may succeed when it is asked again: $code',
  async ({ fields, settings }) => {
    await using service = await RunningService.start({ settings: settings ?? {} });
    const { text, ...others } = fields ?? {};
    const first = await answered(service, { user_input: text, request_id: 'r1', ...others });
    expect(first.body['retryable']).toBe(true);
    const second = await answered(service, { user_input: 'hello', request_id: 'r2', ...others });
    expect(second.status).toBe(200);
  },
);

it('what was refused without a seq succeeds under the same id: backend_unavailable', async () => {
  await using service = await RunningService.start({ settings: { NODE_ENV: 'production' } });
  await service.ollama.kill();
  const refused = await answered(service, { request_id: 'r1' });
  expect(refused.body).toMatchObject({ code: 'backend_unavailable', retryable: true });
  expect(refused.body).not.toHaveProperty('seq');
  await service.ollama.restart();
  expect((await answered(service, { request_id: 'r1' })).status).toBe(200);
});

describe('storage_unavailable', () => {
  it('is told before anything begins, and is over when the store is back', async () => {
    await using service = await RunningService.start();
    const client = await service.connect();
    {
      using _lock = lockDatabase(service.dataDir);
      const { status, headers, body } = await answered(service, { request_id: 'r1' });
      expect({ status, retryAfter: headers.has('retry-after') }).toEqual({ status: 503, retryAfter: true });
      expect(body).toMatchObject({ success: false, code: 'storage_unavailable', retryable: true });
      const { data } = await client.request('hello', { request_id: 'r1' });
      expect(data).toMatchObject({ code: 'storage_unavailable', retryable: true, request_id: 'r1' });
      expect(data).not.toHaveProperty('message_id');
    }
    expect((await answered(service, { request_id: 'r1' })).status).toBe(200);
    expect(service.ollama.ledger.chats).toHaveLength(1);
  });
});

/** Somebody else writes, and does not stop. */
const lockDatabase = (dataDir: string): Disposable => {
  const database = new DatabaseSync(join(dataDir, 'chat.sqlite'));
  database.exec('BEGIN IMMEDIATE');
  return {
    [Symbol.dispose]: () => {
      database.exec('ROLLBACK');
      database.close();
    },
  };
};

describe('an HTTP request that is wrong', () => {
  const call = async (path: string, request: object) => {
    await using service = await RunningService.start();
    return await service.call(path, request);
  };

  it.each([
    ['an unknown route', '/nowhere', {}],
    ['an unknown method', '/generate_response', { method: 'PUT' }],
    ['a known route with a slash more', '/health/', {}],
  ])('is not found, in our shape: %s', async (_name, path, request) => {
    const { status, headers, body } = await call(path, request);
    expect(status).toBe(404);
    expect(headers.get('content-type')).toMatch(/^application\/json/);
    expect(body).toMatchObject({ success: false, code: 'not_found', retryable: false });
  });

  const json = { 'content-type': 'application/json' };
  it.each([
    ['no body', { method: 'POST' }, 'Send a JSON object'],
    ['an empty body', { method: 'POST', headers: json }, 'Send a JSON object'],
    ['broken JSON', { body: '{"conversation_id":' }, 'not valid JSON'],
    ['an array', { body: [] }, 'Send a JSON object'],
    ['null', { body: 'null' }, 'Send a JSON object'],
    ['text', { body: 'hello', headers: { 'content-type': 'text/plain' } }, 'application/json'],
    ['a form', { body: 'a=b', headers: { 'content-type': 'application/x-www-form-urlencoded' } }, 'application/json'],
    ['no kind of body', { body: '{}', headers: { 'content-type': '' } }, 'application/json'],
    ['__proto__', { body: '{"conversation_id":"c1","user_input":"a","metadata":{"__proto__":{}}}' }, '__proto__'],
    ['an escaped __proto__', { body: String.raw`{"metadata":{"\u005f_proto__":1}}` }, '__proto__'],
    [
      'a body without end',
      { body: `{"metadata":${'{"a":'.repeat(2000)}1${'}'.repeat(2001)}` },
      'nested deeper than 64',
    ],
  ])('is invalid, and says what to send: %s', async (_name, request, sentence) => {
    const { status, body } = await call('/generate_response', request);
    expect(status).toBe(400);
    expect(body).toMatchObject({ success: false, code: 'invalid_request', retryable: false });
    expect(body['error']).toContain(sentence);
  });

  it('is told all its mistakes at once, unknown fields by name, and its conversation', async () => {
    const body = { conversation_id: 'c1', user_input: 1, temperature: 2.5, max_tokens: 0, optoins: {}, stop: ['a', 2] };
    const answer = await call('/generate_response', { body });
    expect(answer.body).toMatchObject({ code: 'invalid_request', conversation_id: 'c1' });
    for (const place of ['body.user_input', 'body.temperature', 'body.max_tokens', 'body.stop.1', '"optoins"']) {
      expect(answer.body['error']).toContain(place);
    }
  });

  it('is told of a header that is wrong', async () => {
    const headers = { 'idempotency-key': 'k'.repeat(201) };
    const answer = await call('/generate_response', { body: { conversation_id: 'c1', user_input: 'a' }, headers });
    expect(answer).toMatchObject({ status: 400, body: { error: expect.stringContaining('idempotency-key') } });
  });

  it('is refused without a key, and told how to send one', async () => {
    const key = `ada.${randomBytes(32).toString('base64url')}`;
    await using service = await RunningService.start({ settings: { API_KEYS: key } });
    for (const path of ['/conversations/demo', '/models', '/replies/msg_demo']) {
      const { status, headers, body } = await service.call(path);
      expect(status).toBe(401);
      expect(headers.get('www-authenticate')).toBe('Bearer');
      expect(body).toMatchObject({ success: false, code: 'unauthorized', retryable: false });
      const withKey = await service.call(path, { headers: { authorization: `Bearer ${key}` } });
      expect(withKey.status).toBe(200);
    }
    for (const path of ['/health', '/health/live', '/docs/', '/openapi.yaml', '/asyncapi.yaml']) {
      expect((await service.call(path)).status).toBe(200);
    }
  });
});

describe('a browser', () => {
  const preflight = async (origin: string) => {
    await using service = await RunningService.start();
    return await service.call('/generate_response', {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'content-type,authorization,idempotency-key',
      },
    });
  };

  it('may call from a page of this machine', async () => {
    const { status, headers } = await preflight('http://localhost:5173');
    expect(status).toBe(204);
    expect(headers.get('access-control-allow-origin')).toBe('http://localhost:5173');
    expect(headers.get('access-control-allow-methods')).toContain('POST');
    expect(headers.get('access-control-allow-headers')).toContain('idempotency-key');
    expect(headers.get('access-control-allow-credentials')).toBeNull();
    expect(headers.get('vary')).toMatch(/origin/i);
  });

  it('may not call from a page elsewhere, with or without asking first', async () => {
    await using service = await RunningService.start();
    const origin = 'https://evil.example';
    const refused = [
      await preflight(origin),
      await service.post('/generate_response', { conversation_id: 'c1', user_input: 'a' }, { origin }),
      await service.call('/conversations/demo', { headers: { origin } }),
    ];
    for (const { status, headers, body } of refused) {
      expect(status).toBe(403);
      expect(headers.get('access-control-allow-origin')).toBeNull();
      expect(body).toMatchObject({ success: false, code: 'forbidden', retryable: false });
    }
    expect(service.ollama.ledger.chats).toHaveLength(0);
  });

  it('is told what it may do with every answer, errors too', async () => {
    await using service = await RunningService.start();
    for (const path of ['/health', '/nowhere', '/conversations/demo', '/docs/', '/openapi.yaml']) {
      const { headers } = await service.call(path);
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('content-security-policy')).toContain("default-src 'none'");
      expect(headers.get('content-security-policy')).toContain("frame-ancestors 'none'");
      expect(headers.get('referrer-policy')).toBe('no-referrer');
      expect(headers.get('cross-origin-opener-policy')).toBe('same-origin');
      expect(headers.has('x-powered-by')).toBe(false);
    }
  });
});
