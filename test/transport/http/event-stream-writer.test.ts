import { once } from 'node:events';
import { connect } from 'node:net';
import Fastify from 'fastify';
import { describe, expect, it } from 'vitest';
import { Deadlines } from '../../../src/deadlines.ts';
import { EventStream, parseEventId } from '../../../src/transport/http/event-stream.ts';
import type { EncodedFrame } from '../../../src/transport/reply-frames.ts';
import { EventSourceReader } from '../../support/event-source-reader.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';

const delta: EncodedFrame = { event: 'llm_delta', data: '{"text":"a"}', seq: 1, isTerminal: false };
const end: EncodedFrame = { event: 'llm_response', data: '{"success":true}', seq: 2, isTerminal: true };

/** A server whose only answer is what `toBatches` says. */
const startStream = async (toBatches: (signal: AbortSignal) => AsyncIterable<Iterable<EncodedFrame>>) => {
  const clock = new VirtualClock();
  const deadlines = new Deadlines(clock);
  const ended = Promise.withResolvers<unknown>();
  const app = Fastify({ forceCloseConnections: true });
  app.get('/', async (_request, reply) => {
    const stream = new EventStream(reply, deadlines);
    await stream.send('m1', toBatches(stream.signal)).then(ended.resolve, ended.resolve);
  });
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  return {
    clock,
    port: Number(new URL(url).port),
    /** What `send` ended with: undefined, or what it threw. */
    ended: ended.promise,
    async open() {
      const leaving = new AbortController();
      return new EventSourceReader(await fetch(url, { signal: leaving.signal }), leaving);
    },
    async [Symbol.asyncDispose]() {
      await app.close();
      deadlines[Symbol.dispose]();
    },
  };
};

describe('EventStream', () => {
  it('ends cleanly behind the terminal event, and numbers events by the message', async () => {
    await using server = await startStream(async function* () {
      yield [delta];
      yield [end, delta];
      yield [delta];
    });
    const reader = await server.open();
    expect(await reader.ended).toBe('ended');
    expect(reader.events.map(({ id, event }) => [id, event])).toEqual([
      ['m1:1', 'llm_delta'],
      ['m1:2', 'llm_response'],
    ]);
  });

  it('is broken off where the events end without the terminal one', async () => {
    await using server = await startStream(async function* () {
      yield [delta];
    });
    const reader = await server.open();
    expect(await reader.ended).toBe('broken');
    expect(reader.events).toHaveLength(1);
  });

  it('is broken off where the events fail, and says so to the caller', async () => {
    const failure = new Error('no more');
    await using server = await startStream(async function* () {
      yield [delta];
      throw failure;
    });
    const reader = await server.open();
    expect(await reader.ended).toBe('broken');
    expect(await server.ended).toBe(failure);
  });

  it('has a comment for every 10 s of silence, events of no frames being silence', async () => {
    const wake = Promise.withResolvers<void>();
    const last = Promise.withResolvers<void>();
    await using server = await startStream(async function* () {
      yield [delta];
      await wake.promise;
      yield [];
      await last.promise;
      yield [end];
    });
    const reader = await server.open();
    await reader.waitForEvent('llm_delta');
    await server.clock.jump(9_000);
    wake.resolve();
    await server.clock.jump(1_200);
    await reader.waitForComment(': still here');
    await server.clock.jump(10_200);
    last.resolve();
    expect(await reader.ended).toBe('ended');
    expect(reader.comments).toEqual([': connected', ': still here', ': still here']);
  });

  it('lets go of a client that takes nothing for 30 s', async () => {
    const big = { ...delta, data: JSON.stringify({ text: 'x'.repeat(200_000) }) };
    let sent = 0;
    await using server = await startStream(async function* () {
      for (; ; sent++) yield [big];
    });
    const socket = connect(server.port, '127.0.0.1');
    await once(socket, 'connect');
    socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await once(socket, 'readable'); // the head is here, and nobody reads it
    let before = -1;
    while (sent > before) {
      before = sent;
      await server.clock.settle();
    }
    await server.clock.jump(30_200);
    expect(await server.ended).toBeUndefined();
    socket.destroy();
  });
});

describe('the id of an event', () => {
  it.each([
    ['m1:12', { messageId: 'm1', seq: 12 }],
    ['a:b:0', { messageId: 'a:b', seq: 0 }],
    ['m1:', undefined],
    [':1', undefined],
    ['m1:-1', undefined],
    ['m1:1e3', undefined],
    [`m1:${'9'.repeat(16)}`, undefined],
  ])('is read: %s', (id, position) => {
    expect(parseEventId(id)).toEqual(position);
  });
});
