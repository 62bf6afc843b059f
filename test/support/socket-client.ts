import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { WebSocket, type ClientOptions } from 'ws';
import { Recorder } from './recorder.ts';

export type Fields = Readonly<Record<string, unknown>>;

/** A frame of the service, taken apart. */
export interface Frame {
  readonly event: string;
  readonly data: Fields;
  /** As it came. */
  readonly text: string;
}

export interface SocketClientOptions extends ClientOptions {
  readonly protocols?: readonly string[];
}

/** The handshake was answered with a status instead of a socket. */
export class HandshakeRefused extends Error {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;

  constructor(status: number, headers: IncomingMessage['headers'], body: string) {
    super(`the handshake was refused: ${status} ${body}`);
    this.status = status;
    this.headers = headers;
    this.body = body;
  }
}

export interface Closing {
  readonly code: number;
  readonly reason: string;
}

/** A client of the socket that writes down all it is told, and waits for what it wants to hear. */
export class SocketClient implements Disposable {
  readonly #socket: WebSocket;
  readonly #frames = new Recorder<Frame>();
  readonly #closed: Promise<Closing>;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('message', (data: Buffer) => this.#frames.add(toFrame(data.toString()))); // ws gives buffers
    socket.on('error', () => undefined); // the close says more
    this.#closed = new Promise((resolve) => {
      socket.once('close', (code, reason) => {
        this.#frames.close(`the socket was closed: ${code} ${String(reason)}`);
        resolve({ code, reason: String(reason) });
      });
    });
  }

  static async connect(url: string, { protocols = [], ...options }: SocketClientOptions = {}): Promise<SocketClient> {
    const socket = new WebSocket(url, [...protocols], options);
    const client = new SocketClient(socket);
    const refused = new Promise<never>((_resolve, reject) => {
      socket.once('unexpected-response', (_request, response) => void refuse(response).then(reject));
    });
    await Promise.race([once(socket, 'open'), refused]);
    return client;
  }

  /** The socket itself: to pause it, to send what is no frame, to leave without a word. */
  get socket(): WebSocket {
    return this.#socket;
  }

  /** All frames so far. */
  get frames(): readonly Frame[] {
    return this.#frames.items;
  }

  /** Code and reason, when it is closed. */
  get closed(): Promise<Closing> {
    return this.#closed;
  }

  send(event: string, data?: unknown): void {
    this.#socket.send(JSON.stringify({ event, ...(data !== undefined && { data }) }));
  }

  /** A request that says no more than it must. */
  ask(message: string, fields: Fields = {}): void {
    this.send('llm_request', { conversation_id: 'c1', message, ...fields });
  }

  /** The first frame that is so, among those that came and those that will. */
  waitFor(predicate: (frame: Frame, index: number) => boolean, what?: string): Promise<Frame> {
    return this.#frames.waitFor(predicate, what);
  }

  /** The first frame of an event, from the `from`-th frame on. */
  waitForEvent(event: string, from = 0): Promise<Frame> {
    return this.#frames.waitFor((frame, index) => index >= from && frame.event === event, event);
  }

  /** The end of a reply, or of a request that was refused. */
  waitForEnd(from = 0): Promise<Frame> {
    return this.#frames.waitFor((frame, index) => index >= from && isEnd(frame), 'llm_response or llm_error');
  }

  /** Asks, and waits for the end. */
  async request(message: string, fields: Fields = {}): Promise<Frame> {
    const from = this.frames.length;
    this.ask(message, fields);
    return this.waitForEnd(from);
  }

  /** When it resolves, the service has looked at all that was sent before, and what it said at once is here. */
  async settle(): Promise<void> {
    const data = `settle ${this.frames.length}`;
    this.send('ping', data);
    await this.waitFor((frame) => frame.event === 'pong' && frame.text.includes(data), 'pong');
  }

  [Symbol.dispose](): void {
    this.#socket.terminate();
  }
}

export const isEnd = ({ event }: Frame): boolean => event === 'llm_response' || event === 'llm_error';

/** Those that have a number. */
export const seqs = (frames: readonly Frame[]): readonly unknown[] =>
  frames.flatMap(({ data }) => (data['seq'] === undefined ? [] : [data['seq']]));

/** What the deltas of a channel say together. */
export const textOf = (frames: readonly Frame[], channel = 'content'): string =>
  frames.map(({ event, data }) => (event === 'llm_delta' && data['channel'] === channel ? data['text'] : '')).join('');

export const toFrame = (text: string): Frame => {
  const { event, data } = JSON.parse(text) as { event: string; data: unknown }; // the service's own
  return { event, data: Object(data) as Fields, text }; // a pong may say anything
};

const refuse = async (response: IncomingMessage): Promise<HandshakeRefused> => {
  const chunks = await response.toArray();
  return new HandshakeRefused(response.statusCode ?? 0, response.headers, chunks.join(''));
};
