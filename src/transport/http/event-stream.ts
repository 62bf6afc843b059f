import { once } from 'node:events';
import type { FastifyReply } from 'fastify';
import type { Deadlines } from '../../deadlines.ts';
import type { EncodedFrame } from '../reply-frames.ts';

/** A comment line goes out after so much silence, so that no proxy takes it for the end. */
const SILENCE_MS = 10_000;
/** A client that takes nothing for so long is let go; it can resume. */
const STUCK_MS = 30_000;

/**
 * Answers with server-sent events (WHATWG HTML, 9.2). Status and headers go out at once. A stream that ends without
 * its terminal event is reset, never ended cleanly: many clients take a clean end for success.
 */
export class EventStream {
  readonly #reply: FastifyReply;
  readonly #deadlines: Deadlines;
  readonly #gone = new AbortController();

  constructor(reply: FastifyReply, deadlines: Deadlines) {
    this.#reply = reply;
    this.#deadlines = deadlines;
    reply.hijack();
    reply.raw.on('close', () => this.#gone.abort());
    reply.raw.on('error', () => this.#gone.abort());
  }

  /** Aborts when the client is gone. */
  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  /** Sends frames until one is terminal. `messageId` and the number make the event's id. */
  async send(messageId: string, batches: AsyncIterable<readonly EncodedFrame[]>): Promise<void> {
    const { raw } = this.#reply;
    raw.writeHead(200, {
      ...toHeaders(this.#reply),
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no', // nginx would hold the events back
    });
    raw.write(': connected\n\n');
    using silence = this.#keepAlive();
    try {
      for await (const frames of batches) {
        if (this.#gone.signal.aborted) return;
        if (frames.length === 0) continue;
        silence.touch();
        const hasRoom = raw.write(frames.map((frame) => toEvent(messageId, frame)).join(''));
        if (frames.some(({ isTerminal }) => isTerminal)) return void raw.end();
        if (!hasRoom) await this.#drained();
      }
      this.#reset();
    } catch (error) {
      this.#reset();
      throw error;
    }
  }

  #keepAlive(): { touch(): void } & Disposable {
    let deadline = this.#deadlines.start(SILENCE_MS, comment);
    const { raw } = this.#reply;
    const deadlines = this.#deadlines;
    function comment(): void {
      raw.write(': still here\n\n');
      deadline = deadlines.start(SILENCE_MS, comment);
    }
    return { touch: () => deadline.touch(), [Symbol.dispose]: () => deadline[Symbol.dispose]() };
  }

  async #drained(): Promise<void> {
    using _stuck = this.#deadlines.start(STUCK_MS, () => this.#reply.raw.destroy());
    await once(this.#reply.raw, 'drain', { signal: this.#gone.signal }).catch(() => undefined); // gone: the loop sees it
  }

  /** Breaks the connection off behind what was written. */
  #reset(): void {
    const { raw } = this.#reply;
    if (!raw.destroyed) raw.write('\n', () => raw.destroy());
  }
}

/** What hooks (CORS, security) have set. */
const toHeaders = (reply: FastifyReply): Record<string, string | number | string[]> =>
  Object.fromEntries(
    Object.entries(reply.getHeaders()).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value] as const],
    ),
  );

const toEvent = (messageId: string, { event, data, seq }: EncodedFrame): string =>
  `${seq === undefined ? '' : `id: ${messageId}:${seq}\n`}event: ${event}\ndata: ${data}\n\n`;

/** An event's id as a client gives it back in `Last-Event-ID`; undefined when it is none of ours. */
export const parseEventId = (id: string): { readonly messageId: string; readonly seq: number } | undefined => {
  const match = /^(?<messageId>.+):(?<seq>\d{1,15})$/.exec(id);
  return match?.groups ? { messageId: match.groups['messageId'] ?? '', seq: Number(match.groups['seq']) } : undefined;
};
