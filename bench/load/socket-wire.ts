import type { Socket } from 'node:net';
import { connect } from './connect.ts';
import { CLOSE, FrameReader, PING, TEXT, toClientFrame } from './frame-reader.ts';
import type { Ask, Listener, Wire } from './wire.ts';

const PONG = 10;
const DELTA = '{"event":"llm_delta"';
const RESPONSE = '{"event":"llm_response"';
const ERROR = '{"event":"llm_error"';
const BEFORE_TEXT = '"text":"';

/** A WebSocket by hand: frames are not parsed as JSON, so that the client is not what limits. */
export class SocketWire implements Wire {
  readonly #reader = new FrameReader((opcode, payload) => this.#onFrame(opcode, payload));
  #socket: Socket | undefined;
  #listener: Listener | undefined;
  #onOpen: (() => void) | undefined;
  bytes = 0;

  static async open(url: string): Promise<SocketWire> {
    const wire = new SocketWire();
    const parsed = new URL(url);
    const { promise, resolve } = Promise.withResolvers<void>();
    wire.#onOpen = resolve;
    const socket = await connect(parsed, (bytes) => wire.#onBytes(bytes));
    wire.#socket = socket;
    socket.once('close', () => wire.#end('the connection was closed'));
    socket.write(toHandshake(parsed));
    await promise;
    return wire;
  }

  ask({ conversationId, prompt, stream }: Ask, listener: Listener): void {
    this.#listener = listener;
    const data = { conversation_id: conversationId, message: prompt, ...(stream && { stream }) };
    this.#send(TEXT, Buffer.from(JSON.stringify({ event: 'llm_request', data }), 'latin1'));
  }

  close(): void {
    this.#listener = undefined;
    this.#socket?.destroy();
  }

  #onBytes(bytes: Buffer): void {
    this.bytes += bytes.length;
    if (this.#onOpen === undefined) return this.#reader.read(bytes);
    const headEnd = bytes.indexOf('\r\n\r\n'); // a short head: it is not cut on a connection of this machine
    this.#onOpen();
    this.#onOpen = undefined;
    this.#reader.read(bytes.subarray(headEnd + 4));
  }

  #onFrame(opcode: number, payload: Buffer): void {
    if (opcode === TEXT) this.#onText(payload.toString('latin1'));
    else if (opcode === PING) this.#send(PONG, Buffer.from(payload));
    else if (opcode === CLOSE) this.#end(`the socket was closed: ${payload.readUInt16BE(0)}`);
  }

  #onText(text: string): void {
    if (text.startsWith(DELTA)) {
      const start = text.indexOf(BEFORE_TEXT) + BEFORE_TEXT.length;
      this.#listener?.onText(text.slice(start, text.indexOf('"', start)));
    } else if (text.startsWith(RESPONSE)) this.#end();
    else if (text.startsWith(ERROR)) this.#end(text);
  }

  #end(error?: string): void {
    const listener = this.#listener;
    this.#listener = undefined;
    listener?.onEnd(error);
  }

  #send(opcode: number, payload: Buffer): void {
    this.#socket?.write(toClientFrame(opcode, payload));
  }
}

const toHandshake = ({ pathname, host }: URL): string =>
  [
    `GET ${pathname} HTTP/1.1`,
    `Host: ${host}`,
    'Upgrade: websocket',
    'Connection: Upgrade',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    '\r\n',
  ].join('\r\n');
