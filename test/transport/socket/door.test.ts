import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { RunningService, type ConnectOptions } from '../../support/running-service.ts';
import { HandshakeRefused } from '../../support/socket-client.ts';

const makeKey = (owner: string): string => `${owner}.${randomBytes(32).toString('base64url')}`;
const ada = makeKey('ada');
const bob = makeKey('bob');

const startWithKeys = () => RunningService.start({ settings: { API_KEYS: `${ada},${bob}` } });
const bearer = (key: string) => ({ authorization: `Bearer ${key}` });

/** How a handshake is refused. */
const refusal = async (service: RunningService, options: ConnectOptions): Promise<HandshakeRefused> => {
  const refused = await service.connect(options).catch((error: unknown) => error);
  if (!(refused instanceof HandshakeRefused)) throw new Error('the handshake was not refused', { cause: refused });
  return refused;
};

describe('the handshake', () => {
  it('speaks llm-chat.v1 where that is offered, and needs no subprotocol', async () => {
    await using service = await RunningService.start();
    const client = await service.connect({ protocols: ['other.v2', 'llm-chat.v1'] });
    expect(client.socket.protocol).toBe('llm-chat.v1');
    await (await service.connect()).settle();
  });

  it.each([
    ['Authorization: Bearer', { headers: bearer(ada) }],
    ['a subprotocol', { protocols: ['llm-chat.v1', `bearer.${ada}`] }],
    ['a subprotocol that comes first', { protocols: [`bearer.${ada}`, 'llm-chat.v1'] }],
  ])('takes a key as %s, and does not say it again', async (_name, options) => {
    await using service = await startWithKeys();
    const client = await service.connect(options);
    expect(client.socket.protocol).toBe('protocols' in options ? 'llm-chat.v1' : '');
    expect(await client.request('hello')).toMatchObject({ event: 'llm_response' });
  });

  it.each([
    ['no key', {}],
    ['a wrong secret', { headers: bearer(makeKey('ada')) }],
    ['an unknown id', { headers: bearer(makeKey('eve')) }],
    ['a wrong key as subprotocol', { protocols: ['llm-chat.v1', `bearer.${makeKey('ada')}`] }],
    ['a key in the query', { path: `/ws?key=${ada}` }],
  ])('is refused with 401 and our error for %s', async (_name, options) => {
    await using service = await startWithKeys();
    const { status, headers, body } = await refusal(service, options);
    expect(status).toBe(401);
    expect(headers['www-authenticate']).toBe('Bearer');
    expect(JSON.parse(body)).toMatchObject({ success: false, code: 'unauthorized', retryable: false });
    expect(service.logLines.join('')).not.toContain(ada);
  });

  it.each([
    ['https://evil.example', 403],
    ['null', 403],
    ['http://localhost.evil.example', 403],
    ['http://evil-localhost', 403],
    ['http://127.0.0.1.evil.example', 403],
    ['file://', 403],
  ])('is refused to a page of %s', async (origin, status) => {
    await using service = await RunningService.start();
    const refused = await refusal(service, { headers: { origin } });
    expect(refused.status).toBe(status);
    expect(JSON.parse(refused.body)).toMatchObject({ success: false, code: 'forbidden', retryable: false });
  });

  it.each(['http://localhost', 'http://localhost:5173', 'http://127.0.0.1:8080', 'http://[::1]:3000'])(
    'lets in a page of this machine: %s',
    async (origin) => {
      await using service = await RunningService.start();
      const client = await service.connect({ headers: { origin } });
      expect(await client.request('hello')).toMatchObject({ event: 'llm_response' });
    },
  );

  it('lets in exactly the origins that are listed', async () => {
    await using service = await RunningService.start({ settings: { ALLOWED_ORIGINS: 'https://chat.example.com' } });
    await (await service.connect({ headers: { origin: 'https://chat.example.com' } })).settle();
    for (const origin of ['http://chat.example.com', 'https://chat.example.com:8443', 'http://localhost:5173']) {
      expect((await refusal(service, { headers: { origin } })).status).toBe(403);
    }
  });

  it('is refused where the Host is another name than this machine’s: a page whose name was pointed here', async () => {
    await using service = await RunningService.start();
    const headers = { host: 'evil.example', origin: 'http://evil.example' };
    expect((await refusal(service, { headers })).status).toBe(403);
  });

  it('is not found anywhere else', async () => {
    await using service = await RunningService.start();
    for (const path of ['/health', '/conversations/demo', '/docs/', '/nowhere']) {
      const { status, body } = await refusal(service, { path });
      expect(status).toBe(404);
      expect(JSON.parse(body)).toMatchObject({ success: false, code: 'not_found' });
    }
  });

  it('is explained to who comes with plain HTTP', async () => {
    await using service = await RunningService.start();
    const { status, body } = await service.call('/ws');
    expect(status).toBe(404);
    expect(body).toMatchObject({ code: 'not_found', error: expect.stringContaining('ws://') });
  });
});

describe('what belongs to somebody else', () => {
  it('is absent, over the socket', async () => {
    await using service = await startWithKeys();
    const [one, other] = [
      await service.connect({ headers: bearer(ada) }),
      await service.connect({ headers: bearer(bob) }),
    ];
    const { data } = await one.request('my secret', { request_id: 'r1' });
    const ask = async (event: string, reference: object) => {
      const from = other.frames.length;
      other.send(event, reference);
      const { timestamp: _, ...error } = (await other.waitForEnd(from)).data;
      return error;
    };
    const foreign = { message_id: data['message_id'] };
    const absent = { message_id: 'msg_none' };
    for (const [event, more] of [
      ['llm_resume', { seq: 0 }],
      ['llm_cancel', {}],
    ] as const) {
      expect(await ask(event, { ...foreign, ...more })).toEqual({
        ...(await ask(event, { ...absent, ...more })),
        ...foreign,
      });
    }
    expect(await ask('llm_cancel', { conversation_id: 'c1', request_id: 'r1' })).toMatchObject({ code: 'not_found' });
    expect(other.frames.map(({ text }) => text).join('')).not.toContain('secret');
  });

  it('has the same name without being the same', async () => {
    await using service = await startWithKeys();
    const [one, other] = [
      await service.connect({ headers: bearer(ada) }),
      await service.connect({ headers: bearer(bob) }),
    ];
    await one.request('my secret', { request_id: 'r1' });
    const { data } = await other.request('[[say:hello bob]]', { request_id: 'r1' });
    expect(data['response']).toBe('hello bob');
    expect(JSON.stringify(service.ollama.ledger.chats.at(-1)?.body)).not.toContain('secret');
  });

  it('is absent, over HTTP', async () => {
    await using service = await startWithKeys();
    const client = await service.connect({ headers: bearer(ada) });
    const { data } = await client.request('hello');
    const seenBy = async (key: string, path: string, method: string) => {
      const { status, body } = await service.call(path, { method, headers: bearer(key) });
      return { status, code: body['code'], error: body['error'] };
    };
    for (const [method, path] of [
      ['GET', '/conversations/'],
      ['GET', '/replies/'],
      ['POST', '/replies/:id/cancel'],
      ['GET', '/replies/:id/events'],
      ['DELETE', '/conversations/'],
    ] as const) {
      const id = path.startsWith('/replies') ? String(data['message_id']) : 'c1';
      const at = (name: string) => (path.includes(':id') ? path.replace(':id', name) : path + name);
      const foreign = await seenBy(bob, at(id), method);
      expect(foreign).toEqual(await seenBy(bob, at('absent'), method));
      expect(foreign).toMatchObject({ status: 404, code: 'not_found' });
    }
    expect((await service.call('/conversations/c1', { headers: bearer(ada) })).status).toBe(200);
  });
});
