import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { RunningService } from '../../support/running-service.ts';

/** Sends bytes as they are; gives all that comes back. */
const send = async (service: RunningService, bytes: string): Promise<{ head: string; body: unknown }> => {
  const socket = connect(Number(new URL(service.url).port), '127.0.0.1');
  socket.end(bytes);
  const [head = '', body = ''] = (await text(socket)).split('\r\n\r\n');
  return { head, body: JSON.parse(body) };
};

describe('a request that nobody can read', () => {
  it.each([
    ['that is no HTTP', 'HELLO\r\n\r\n', 400],
    [
      'with headers without end',
      `GET /health HTTP/1.1\r\nHost: localhost\r\nX-Big: ${'x'.repeat(20_000)}\r\n\r\n`,
      431,
    ],
    [
      'with a broken escape in its path',
      'GET /conversations/%zz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n',
      400,
    ],
    [
      'with an id of a megabyte',
      `GET /conversations/${'x'.repeat(5_000)} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`,
      400,
    ],
  ])('%s has the one shape of an error', async (_what, bytes, status) => {
    await using service = await RunningService.start();
    const { head, body } = await send(service, bytes);
    expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(body).toMatchObject({
      success: false,
      code: 'invalid_request',
      retryable: false,
      error: expect.stringMatching(/\.$/),
    });
  });

  it('takes ids as long as they may be, in any script', async () => {
    await using service = await RunningService.start();
    const id = '汉'.repeat(200);
    expect(await service.call(`/conversations/${encodeURIComponent(id)}`)).toMatchObject({
      status: 404,
      body: { code: 'not_found' },
    });
  });
});
