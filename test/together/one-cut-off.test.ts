import { describe, expect, it } from 'vitest';
import { hasRedisServer, type RedisServer } from '../support/redis-server.ts';
import { createGate } from '../support/scripted-ollama/scripted-ollama.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { begin, checkWatch, framesOf, Instances, sayEach } from './instances.ts';

describe.skipIf(!hasRedisServer)('an instance that alone is cut off from Redis', { timeout: 60_000 }, () => {
  it('loses its reply to another, which ends it; it says nothing more in it, and lets its backend go', async () => {
    await using network = await startNetwork();
    const { instances, proxy } = network;
    const gate = createGate();
    instances.ollama.next([{ say: 'One' }, { waitFor: gate }, { say: ' unheard' }, { hang: true }]);
    const here = await instances.at(0).connect();
    const there = await instances.at(1).connect();
    const messageId = await begin(here, 'Count!');
    there.send('llm_resume', { message_id: messageId, seq: 0 });
    await there.waitForEvent('llm_delta');

    proxy.cut();
    gate.open();
    await here.waitFor(({ data }) => data['state'] === 'degraded', 'degraded');
    expect((await there.waitForEnd()).data).toMatchObject({ code: 'interrupted', response: 'One' });
    expect((await there.request('And now?')).data).toMatchObject({ success: true });
    proxy.mend();
    expect((await here.waitForEnd()).data).toMatchObject({ code: 'interrupted', response: 'One' });
    await instances.ollama.ledger.until(({ chats }) => chats[0]?.outcome === 'left');
    for (const { frames } of [here, there]) expect(checkWatch(framesOf(frames, messageId))).toBe('One');
  });

  it.each([1, 2])(
    'and whose last %i events Redis has lost: watchers elsewhere are told what is left, and then the end',
    async (lost) => {
      await using network = await startNetwork();
      const { instances, proxy } = network;
      const gates = [createGate(), createGate()];
      const [first, second] = gates;
      instances.ollama.next(
        sayEach(['One'], { waitFor: first! }, { say: ' two' }, { waitFor: second! }, { say: ' three' }, { hang: true }),
      );
      const here = await instances.at(0).connect();
      const there = await instances.at(1).connect();
      const messageId = await begin(here, 'Count!');
      there.send('llm_resume', { message_id: messageId, seq: 0 });
      for (const [index, word] of ['One', ' two', ' three'].entries()) {
        await there.waitFor(({ data }) => data['text'] === word);
        gates[index]?.open();
      }
      proxy.cut();
      const { admin } = instances.redis;
      const [log = ''] = await admin.keys(`chat:*:log:${messageId.slice(TO_REPLY)}`);
      await admin.rpop(log, lost);

      const left = ['One', ' two'].slice(0, 3 - lost).join('');
      const rewind = await there.waitFor(({ event, data }) => event === 'llm_rewind' && data['channel'] === 'content');
      expect(rewind.data).toMatchObject({ seq: 3 - lost, to_at: 0, text: left });
      const end = await there.waitForEnd();
      expect(end.data).toMatchObject({ code: 'interrupted', response: left, seq: 4 - lost });
    },
  );
});

/** In front of it, a reply's id has the place of its conversation. */
const TO_REPLY = 's00_'.length + 22 + '_'.length;

interface Network extends AsyncDisposable {
  readonly instances: Instances;
  /** Between the first instance and Redis. */
  readonly proxy: TcpProxy;
}

const startNetwork = async (): Promise<Network> => {
  await using opening = new AsyncDisposableStack();
  const proxies: TcpProxy[] = [];
  const toRedisUrl = async ({ url, port }: RedisServer, index: number): Promise<string> => {
    if (index > 0) return url;
    const proxy = opening.use(await startTcpProxy(port));
    proxies.push(proxy);
    return proxy.url;
  };
  const instances = opening.use(await Instances.start({ toRedisUrl }));
  const opened = opening.move();
  return { instances, proxy: proxies[0]!, [Symbol.asyncDispose]: () => opened.disposeAsync() }; // the first instance has one
};
