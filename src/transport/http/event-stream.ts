import { once } from 'node:events';
import type { FastifyReply } from 'fastify';
import { NotFoundError } from '../../errors.ts';
import type { Deadlines } from '../../deadlines.ts';
import type { EncodedFrame } from '../reply-frames.ts';

/** A comment line goes out after so much silence, so that no proxy takes it for the end. */
const SILENCE_MS = 10_000;
/** A client that takes nothing for so long is let go; it can resume. */
const STUCK_MS = 30_000;
/** UTF-16 units that go out in one write. */
const WRITE_UNITS = 64 * 1024;

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

  /** Sends batches of frames until one is terminal. `messageId` and the number make the event's id. */
  async send(messageId: string, batches: AsyncIterable<Iterable<EncodedFrame>>): Promise<void> {
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
        const isEnd = await this.#write(messageId, frames, () => silence.touch());
        if (this.#gone.signal.aborted) return;
        if (isEnd) return void raw.end();
      }
      await this.#reset();
    } catch (error) {
      await this.#reset();
      throw error;
    }
  }

  /** Writes what is there, waiting for room when there is none; says whether it was the end. */
  async #write(messageId: string, frames: Iterable<EncodedFrame>, onFrame: () => void): Promise<boolean> {
    let text = '';
    for (const frame of frames) {
      onFrame();
      text += toEvent(messageId, frame);
      if (!frame.isTerminal && text.length < WRITE_UNITS) continue;
      await this.#flush(text);
      if (frame.isTerminal || this.#gone.signal.aborted) return frame.isTerminal;
      text = '';
    }
    if (text !== '') await this.#flush(text);
    return false;
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

  async #flush(text: string): Promise<void> {
    const { raw } = this.#reply;
    if (this.#gone.signal.aborted || raw.write(text)) return;
    using _stuck = this.#deadlines.start(STUCK_MS, () => raw.destroy());
    await once(raw, 'drain', { signal: this.#gone.signal }).catch(() => undefined); // gone: the loop sees it
  }

  /** Breaks the connection off behind what was written. */
  async #reset(): Promise<void> {
    const { raw } = this.#reply;
    if (raw.destroyed) return;
    using _stuck = this.#deadlines.start(STUCK_MS, () => raw.destroy());
    await new Promise<void>((resolve) => raw.once('close', resolve).write('\n', () => raw.destroy()));
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

export const nothingToResume = (): NotFoundError =>
  new NotFoundError('Last-Event-ID is not an id of these events: nothing to resume.');

/** An event's id as a client gives it back in `Last-Event-ID`; undefined when it is none of ours. */
export const parseEventId = (id: string): { readonly messageId: string; readonly seq: number } | undefined => {
  const match = /^(?<messageId>.+):(?<seq>\d{1,15})$/.exec(id);
  return match?.groups ? { messageId: match.groups['messageId'] ?? '', seq: Number(match.groups['seq']) } : undefined;
};
