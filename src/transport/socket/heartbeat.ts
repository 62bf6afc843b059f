import type { WebSocket } from '@fastify/websocket';
import type { Deadline, Deadlines } from '../../deadlines.ts';
import { STUCK_MS, type SocketSender } from './socket-sender.ts';

const PING_MS = 25_000;
const PONG_MS = 10_000;

/** Pings, and ends a socket whose other side is gone without a word, or does not read. */
export class Heartbeat implements Disposable {
  readonly #socket: WebSocket;
  readonly #sender: SocketSender;
  readonly #deadlines: Deadlines;
  #deadline: Deadline;
  /** What had been sent with the ping. */
  #pingedBytes = 0;

  constructor(socket: WebSocket, sender: SocketSender, deadlines: Deadlines) {
    this.#socket = socket;
    this.#sender = sender;
    this.#deadlines = deadlines;
    this.#deadline = this.#expect();
    socket.on('pong', () => this.#onPong());
  }

  [Symbol.dispose](): void {
    this.#deadline[Symbol.dispose]();
  }

  #expect(): Deadline {
    return this.#deadlines.start(PING_MS, () => this.#ping());
  }

  #ping(): void {
    this.#socket.ping();
    this.#pingedBytes = this.#sender.sentBytes;
    this.#deadline = this.#deadlines.start(PONG_MS, () => this.#onSilence());
  }

  #onPong(): void {
    this.#deadline[Symbol.dispose]();
    this.#deadline = this.#expect();
  }

  /**
   * Kernels take megabytes for a client that reads nothing: what it is told since the ping may wait there, with the
   * ping itself. If it reads again it is to learn why it was closed; nothing that was told meanwhile, and it is gone.
   */
  #onSilence(): void {
    const { isFull, sentBytes } = this.#sender;
    // Behind much that waits, the ping itself has not arrived: the sender's own patience comes first.
    if (isFull) this.#deadline = this.#deadlines.start(STUCK_MS, () => this.#sender.closeSlow());
    else if (sentBytes > this.#pingedBytes) this.#sender.closeSlow();
    else if (!this.#sender.closed) this.#socket.terminate();
  }
}
