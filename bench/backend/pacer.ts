import type { Socket } from 'node:net';
import { STREAM_BEGIN, toEndChunk, toTokenChunk } from './lines.ts';
import { createToken } from './tokens.ts';

/** A host whose reader does not keep up makes no more tokens for it meanwhile. */
const MAX_WAITING_BYTES = 65_536;
const TICK_MS = 1;

export interface PacedReply {
  readonly socket: Socket;
  readonly tokens: number;
  readonly msPerToken: number;
  readonly characters: number;
}

interface Stream extends PacedReply {
  left: number;
  dueMs: number;
}

/** Replies at a pace, all on one timer. Streams begin when they were asked for, so their tokens are spread evenly. */
export class Pacer {
  readonly #streams = new Set<Stream>();
  #timer: NodeJS.Timeout | undefined;

  /** Sends the first token at once. */
  start(reply: PacedReply): void {
    const stream = { ...reply, left: reply.tokens, dueMs: performance.now() };
    reply.socket.write(STREAM_BEGIN, 'latin1');
    this.#streams.add(stream);
    reply.socket.once('close', () => this.#streams.delete(stream));
    this.#send(stream);
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS);
  }

  #tick(): void {
    const now = performance.now();
    for (const stream of this.#streams) if (stream.dueMs <= now) this.#send(stream);
    if (this.#streams.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #send(stream: Stream): void {
    stream.dueMs += stream.msPerToken;
    if (stream.socket.writableLength > MAX_WAITING_BYTES) return;
    stream.left -= 1;
    stream.socket.write(toTokenChunk(createToken(stream.characters)), 'latin1');
    if (stream.left > 0) return;
    stream.socket.write(toEndChunk(stream.tokens), 'latin1');
    this.#streams.delete(stream);
  }
}
