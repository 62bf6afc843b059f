import type { Socket } from 'node:net';
import type { WebSocket } from '@fastify/websocket';
import type { Deadlines } from '../../deadlines.ts';
import type { EncodedFrame } from '../reply-frames.ts';

/** Above it nothing more is pulled from a reply's log: the log is the buffer. */
const HIGH_WATER_BYTES = 256 * 1024;
/** A socket that asks for more answers than it reads, so that this much piles up, is closed at once. */
const HARD_LIMIT_BYTES = 1024 * 1024;
/** A socket that takes nothing for so long is closed. */
export const STUCK_MS = 30_000;
/** How long a closed socket may take to say goodbye. */
const CLOSE_MS = 1_000;
/** One that is not read has its goodbye behind all that waits: whoever reads again in time learns why. */
const SLOW_CLOSE_MS = 60_000;

export const CLOSE_SLOW = 4008;

type Sendable = Pick<EncodedFrame, 'event' | 'data'>;

/** The way out of one socket: constant memory however slow its reader is. */
export class SocketSender {
  readonly #socket: WebSocket;
  readonly #connection: Socket;
  readonly #deadlines: Deadlines;
  #corked = false;
  #draining: Promise<void> | undefined;

  constructor(socket: WebSocket, connection: Socket, deadlines: Deadlines) {
    this.#socket = socket;
    this.#connection = connection;
    this.#deadlines = deadlines;
  }

  /** Whether there is no use in sending any more. */
  get closed(): boolean {
    return this.#socket.readyState !== this.#socket.OPEN;
  }

  /** Sends a frame now; those of one turn of the loop go out in one write. */
  send({ event, data }: Sendable): void {
    if (this.closed) return;
    if (this.#socket.bufferedAmount > HARD_LIMIT_BYTES) return this.closeSlow();
    this.#cork();
    this.#socket.send(`{"event":"${event}","data":${data}}`);
  }

  /**
   * Sends a frame when there is room for it; closes the socket that makes none. Looking for room and taking it is one
   * step, so that all who wait do not take the same room. Nothing is sent any more when `signal` aborts.
   */
  async deliver(frame: Sendable, signal: AbortSignal): Promise<void> {
    if (this.isFull) {
      using _stuck = this.#deadlines.start(STUCK_MS, () => this.closeSlow());
      while (this.isFull && !this.closed) await this.#drained();
    }
    if (!signal.aborted) this.send(frame);
  }

  /** Whether more waits for the client than is to be added to. */
  get isFull(): boolean {
    return this.#socket.bufferedAmount > HIGH_WATER_BYTES;
  }

  /** Bytes that were handed to the kernel, or wait for it, since the beginning. */
  get sentBytes(): number {
    return this.#connection.bytesWritten;
  }

  /** Says goodbye, and waits for the answer no longer than `patienceMs`. */
  close(code: number, reason: string, patienceMs = CLOSE_MS): void {
    if (this.closed) return;
    this.#socket.close(code, reason);
    const deadline = this.#deadlines.start(patienceMs, () => this.#socket.terminate());
    this.#socket.once('close', () => deadline[Symbol.dispose]());
  }

  /** Says goodbye behind all that the client has not read. */
  closeSlow(): void {
    this.close(CLOSE_SLOW, 'read faster, then resume', SLOW_CLOSE_MS);
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

  /** All who wait share one pair of listeners. */
  #drained(): Promise<void> {
    this.#draining ??= new Promise<void>((resolve) => {
      const done = (): void => {
        this.#connection.off('drain', done);
        this.#socket.off('close', done);
        this.#draining = undefined;
        resolve();
      };
      this.#connection.once('drain', done);
      this.#socket.once('close', done);
    });
    return this.#draining;
  }
}
