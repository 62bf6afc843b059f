import type { Socket } from 'node:net';
import type { WebSocket } from '@fastify/websocket';
import type { Deadlines } from '../../deadlines.ts';
import type { EncodedFrame } from '../reply-frames.ts';

/** Above it nothing more is pulled from a reply's log: the log is the buffer. */
const HIGH_WATER_BYTES = 256 * 1024;
/** A socket that lets this much pile up is closed at once. */
const HARD_LIMIT_BYTES = 1024 * 1024;
/** A socket that takes nothing for so long is closed. */
const STUCK_MS = 30_000;
/** How long a closed socket may take to say goodbye. */
const CLOSE_MS = 1_000;

export const CLOSE_SLOW = 4008;

/** The way out of one socket: constant memory however slow its reader is. */
export class SocketSender {
  readonly #socket: WebSocket;
  readonly #connection: Socket;
  readonly #deadlines: Deadlines;
  #corked = false;

  constructor(socket: WebSocket, connection: Socket, deadlines: Deadlines) {
    this.#socket = socket;
    this.#connection = connection;
    this.#deadlines = deadlines;
  }

  /** Sends a frame; those of one turn of the loop go out in one write. */
  send({ event, data }: Pick<EncodedFrame, 'event' | 'data'>): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    if (this.#socket.bufferedAmount > HARD_LIMIT_BYTES) return this.close(CLOSE_SLOW, 'read faster, then resume');
    this.#cork();
    this.#socket.send(`{"event":"${event}","data":${data}}`);
  }

  /** Resolves when there is room again; closes the socket that makes none. */
  async ready(): Promise<void> {
    if (this.#socket.bufferedAmount <= HIGH_WATER_BYTES) return;
    using _stuck = this.#deadlines.start(STUCK_MS, () => this.close(CLOSE_SLOW, 'read faster, then resume'));
    while (this.#socket.bufferedAmount > HIGH_WATER_BYTES && this.#socket.readyState === this.#socket.OPEN) {
      await this.#drained();
    }
  }

  /** Says goodbye, and does not wait long for the answer: a socket that is not read cannot give one. */
  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
    this.#deadlines.start(CLOSE_MS, () => this.#socket.terminate());
  }

  #cork(): void {
    if (this.#corked) return;
    this.#corked = true;
    this.#connection.cork();
    process.nextTick(() => {
      this.#corked = false;
      this.#connection.uncork();
    });
  }

  async #drained(): Promise<void> {
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#connection.off('drain', done);
        this.#socket.off('close', done);
        resolve();
      };
      this.#connection.once('drain', done);
      this.#socket.once('close', done);
    });
  }
}
