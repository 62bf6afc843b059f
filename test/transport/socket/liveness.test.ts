import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { createGatedReply } from '../../support/gated-reply.ts';
import { RunningService } from '../../support/running-service.ts';
import { createGate } from '../../support/scripted-ollama/scripted-ollama.ts';
import { isEnd, seqs, textOf } from '../../support/socket-client.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';

const PING_MS = 25_000;
const PONG_MS = 10_000;
const STUCK_MS = 30_000;
/** Deadlines are looked at so often. */
const SLACK_MS = 200;

/** Far more than what the kernel takes for a reader that has stopped. */
const LONG_TEXT = 250_000;
const LONG_REPLIES = 60;

describe('the heartbeat', () => {
  it('pings a silent client every 25 s, and keeps one that answers', async () => {
    const clock = new VirtualClock();
    await using service = await RunningService.start({ surroundings: { clock } });
    const client = await service.connect();
    await client.settle();
    for (let round = 0; round < 3; round++) {
      const pinged = once(client.socket, 'ping');
      await clock.jump(PING_MS + SLACK_MS);
      await pinged;
      await client.settle(); // the pong is there
    }
    expect(client.socket.readyState).toBe(client.socket.OPEN);
  });

  it('lets go of a client that does not answer within 10 s', async () => {
    const clock = new VirtualClock();
    await using service = await RunningService.start({ surroundings: { clock } });
    const client = await service.connect({ autoPong: false });
    const other = await service.connect();
    await client.settle();
    await other.settle();
    const pinged = Promise.all([once(client.socket, 'ping'), once(other.socket, 'ping')]);
    await clock.jump(PING_MS + SLACK_MS);
    await pinged;
    await other.settle();
    await clock.jump(PONG_MS - SLACK_MS * 2);
    await other.settle();
    expect(client.socket.readyState).toBe(client.socket.OPEN);
    await clock.jump(SLACK_MS * 4);
    expect(await client.closed).toMatchObject({ code: 1006 });
    await other.settle();
  });

  it('says 4008 to one that was told something meanwhile, and waits until it reads that', async () => {
    const clock = new VirtualClock();
    await using service = await RunningService.start({ surroundings: { clock } });
    const { script, gate } = createGatedReply();
    service.ollama.next(script);
    const client = await service.connect();
    client.ask('hello');
    const { data } = await client.waitForEvent('llm_delta');
    const other = await service.connect();
    client.socket.pause();
    const pinged = once(other.socket, 'ping');
    await clock.jump(PING_MS + SLACK_MS);
    await pinged;
    await other.settle();
    gate.open(); // far less than what the kernel takes
    other.send('llm_resume', { message_id: data['message_id'], seq: 0 });
    await other.waitForEnd();
    await clock.jump(PONG_MS + SLACK_MS);
    await clock.advance(STUCK_MS); // it reads again late
    client.socket.resume();
    expect(await client.closed).toMatchObject({ code: 4008 });
    expect((await client.waitForEnd()).data['success']).toBe(true);
  });

  it('says what a silent reply is doing, at least every 10 s', async () => {
    const clock = new VirtualClock();
    await using service = await RunningService.start({ surroundings: { clock } });
    const { script, gate } = createGatedReply();
    service.ollama.next(script);
    const client = await service.connect();
    client.ask('hello');
    await client.waitForEvent('llm_delta');
    const from = client.frames.length;
    await clock.jump(12_000);
    const { data } = await client.waitForEvent('llm_status', from);
    expect(data).toMatchObject({ state: 'generating' });
    gate.open();
    await client.waitForEnd();
  });
});

describe('a socket that is not read', () => {
  /** Asks for the same long text again and again, so that far more is to be told than buffers take. */
  const askForMuch = async (service: RunningService) => {
    const text = 'word '.repeat(LONG_TEXT / 5).trim();
    service.ollama.next([{ say: text }, { done: true }]);
    const asking = await service.connect();
    const { data } = await asking.request('hello', { stream: 'none' });
    expect(data['response']).toBe(text);
    return String(data['message_id']);
  };

  it('is closed after 30 s with 4008, costs bounded memory, holds up nobody else, and can resume', async () => {
    const clock = new VirtualClock();
    await using service = await RunningService.start({ surroundings: { clock } });
    const messageId = await askForMuch(service);
    const client = await service.connect();
    const other = await service.connect();
    client.socket.pause();
    const before = process.memoryUsage().arrayBuffers + process.memoryUsage().heapUsed;
    for (let count = 0; count < LONG_REPLIES; count++) {
      client.send('llm_resume', { message_id: messageId, seq: 0 });
      await other.settle();
      await service.call(`/replies/${messageId}`); // gives the watch that is replaced its time
    }
    const grown = process.memoryUsage().arrayBuffers + process.memoryUsage().heapUsed - before;
    expect(grown).toBeLessThan(64 * 1024 * 1024);
    expect(await other.request('[[say:quick]]')).toMatchObject({ data: { response: 'quick' } });
    await clock.advance(STUCK_MS + 2 * SLACK_MS); // a ping is due meanwhile, and no pong can come
    await clock.advance(10_000); // it reads again late
    client.socket.resume();
    expect(await client.closed).toMatchObject({ code: 4008 });

    const back = await service.connect();
    back.send('llm_resume', { message_id: messageId, seq: 0 });
    const { data } = await back.waitForEnd();
    expect(textOf(back.frames)).toBe(data['response']);
    expect(seqs(back.frames)).toEqual(seqs(back.frames).map((_, index) => index + 1));
  });

  it.each(['delta', 'cumulative'])('is no slow one because much is to be told at once: %s', async (stream) => {
    await using service = await RunningService.start();
    const pieces = Array.from({ length: 100 }, (_, index) => `${index} `.repeat(400));
    const gate = createGate();
    const said = pieces.flatMap((say) => [{ say }, { waitMs: 2 }]); // so that they become many events
    service.ollama.next([...said, { waitFor: gate }, { done: true }]);
    const client = await service.connect();
    client.ask('hello');
    await gate.reached;
    const tab = await service.connect();
    tab.send('llm_resume', {
      message_id: (await client.waitForEvent('llm_accepted')).data['message_id'],
      seq: 0,
      stream,
    });
    await tab.waitFor(() => textOf(tab.frames).length === pieces.join('').length, 'the whole text');
    gate.open();
    expect((await tab.waitForEnd()).text).toBe((await client.waitForEnd()).text);
    expect(seqs(tab.frames)).toEqual(seqs(client.frames));
  });

  it('is closed when it asks for more than it takes', async () => {
    await using service = await RunningService.start();
    const client = await service.connect();
    client.socket.pause();
    const closed = client.closed;
    const data = 'x'.repeat(60_000);
    for (let count = 0; count < 400; count++) client.send('ping', data);
    await new Promise<void>((resolve) => client.socket.send('{"event":"ping"}', () => resolve()));
    client.socket.resume();
    const { code } = await closed;
    expect([4008, 1006]).toContain(code); // 1006 where the goodbye did not fit any more
  });
});

describe('the end of the service', () => {
  it('says goodbye to sockets (1001), and waits for nobody', async () => {
    const service = await RunningService.start();
    await using _cleanup = service;
    const client = await service.connect();
    const stuck = await service.connect();
    stuck.socket.pause();
    await client.settle();
    const stopping = service.stop();
    expect(await client.closed).toMatchObject({ code: 1001 });
    await stopping;
  });

  it('refuses what is asked while it stops, and tells how what runs has ended', async () => {
    await using service = await RunningService.start();
    const { script, gate } = createGatedReply();
    service.ollama.next(script);
    const client = await service.connect();
    client.ask('hello');
    await gate.reached;
    await client.waitForEvent('llm_delta');
    const drained = service.chat.drain(0);
    const { data } = await client.request('and?', { conversation_id: 'c2' });
    expect(data).toMatchObject({ code: 'draining', retryable: true, retry_after_ms: expect.any(Number) });
    const end = await client.waitFor((frame) => isEnd(frame) && frame.data['conversation_id'] === 'c1');
    expect(end.data).toMatchObject({ code: 'interrupted', retryable: true, response: 'one two', seq: 2 });
    await drained;
    expect(await service.call('/health/ready')).toMatchObject({ status: 503, body: { success: false } });
  });
});
