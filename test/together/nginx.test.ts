import { describe, expect, it } from 'vitest';
import { EventSourceReader } from '../support/event-source-reader.ts';
import { createGatedReply } from '../support/gated-reply.ts';
import { hasNginx, startNginx } from '../support/nginx.ts';
import { hasRedisServer } from '../support/redis-server.ts';
import { SocketClient } from '../support/socket-client.ts';
import { findFreePort } from '../process/service-process.ts';
import { begin, checkWatch, framesOf, Instances } from './instances.ts';

const FILES = [
  { path: 'examples/nginx.conf', count: 2 },
  { path: 'deploy/nginx.conf', count: 3 },
];

describe.skipIf(!hasRedisServer || !hasNginx).each(FILES)('$path in front of $count instances', ({ path, count }) => {
  it('passes sockets and event streams on as they come; whoever comes back may meet another instance', async () => {
    await using instances = await Instances.start({ count, settings: { TRUST_PROXY: '127.0.0.1' } });
    await using nginx = await startNginx(
      path,
      await findFreePort(),
      instances.all.map(({ port }) => port),
    );
    const { script, gate } = createGatedReply();
    instances.ollama.next(script);
    using first = await connect(nginx.url);
    const messageId = await begin(first, 'Count!');
    using clients = new DisposableStack();
    const others = await Promise.all(Array.from({ length: 4 }, async () => clients.use(await connect(nginx.url))));
    for (const other of others) other.send('llm_resume', { message_id: messageId, seq: 0 });
    const leaving = new AbortController();
    const events = clients.use(
      new EventSourceReader(
        await fetch(`${nginx.url}/replies/${messageId}/events`, { signal: leaving.signal }),
        leaving,
      ),
    );
    for (const client of [first, ...others]) await client.waitFor(({ data }) => data['text'] === 'one two');
    await events.waitFor(({ data }) => data['text'] === 'one two'); // nothing is held back
    const sockets = await Promise.all(instances.all.map(async (each) => (await each.call('/metrics')).text));
    for (const text of sockets) expect(text).toMatch(/sockets [1-9]/);

    gate.open();
    for (const client of [first, ...others]) {
      await client.waitForEnd();
      expect(checkWatch(framesOf(client.frames, messageId))).toBe('one two three');
    }
    expect((await events.waitForEvent('llm_response')).data).toMatchObject({ response: 'one two three' });
    expect(await events.ended).toBe('ended');
  });

  it('tells who the callers are, so that limits are theirs', async () => {
    await using instances = await Instances.start({
      count,
      settings: { TRUST_PROXY: '127.0.0.1', LLM_RATE_LIMIT: '1' },
    });
    await using nginx = await startNginx(
      path,
      await findFreePort(),
      instances.all.map(({ port }) => port),
    );
    for (const localAddress of ['127.0.0.2', '127.0.0.3']) {
      using client = await connect(nginx.url, localAddress);
      expect((await client.request('Count!', { conversation_id: localAddress })).data).toMatchObject({ success: true });
      const refused = await client.request('And I?', { conversation_id: `${localAddress} again` });
      expect(refused.data).toMatchObject({ code: 'rate_limited' });
    }
  });
});

const connect = (url: string, localAddress?: string): Promise<SocketClient> =>
  SocketClient.connect(`${url.replace('http', 'ws')}/ws`, localAddress === undefined ? {} : { localAddress });
