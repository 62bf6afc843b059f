import type { Socket } from 'node:net';
import { MODEL } from '../backend/lines.ts';
import { connect } from './connect.ts';
import type { Ask, Listener, Wire } from './wire.ts';

const BEFORE_TEXT = '"content":"';
const LAST_CHUNK = '0\r\n\r\n';

/** The backend asked directly: what is there without a service. */
export class BackendWire implements Wire {
  readonly #url: URL;
  #socket: Socket | undefined;
  #listener: Listener | undefined;
  #rest = '';
  bytes = 0;

  private constructor(url: URL) {
    this.#url = url;
  }

  static async open(url: string): Promise<BackendWire> {
    const wire = new BackendWire(new URL(url));
    wire.#socket = await connect(wire.#url, (bytes) => wire.#onBytes(bytes));
    return wire;
  }

  ask({ prompt }: Ask, listener: Listener): void {
    this.#listener = listener;
    const body = JSON.stringify({ model: MODEL, stream: true, messages: [{ role: 'user', content: prompt }] });
    this.#socket?.write(
      `POST /api/chat HTTP/1.1\r\nHost: ${this.#url.host}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
  }

  close(): void {
    this.#listener = undefined;
    this.#socket?.destroy();
  }

  #onBytes(bytes: Buffer): void {
    this.bytes += bytes.length;
    this.#rest += bytes.toString('latin1');
    const whole = this.#rest.lastIndexOf('}\n') + 2;
    if (whole > 1) this.#onLines(this.#rest.slice(0, whole));
    if (whole > 1) this.#rest = this.#rest.slice(whole);
    if (!this.#rest.endsWith(LAST_CHUNK)) return;
    this.#rest = '';
    const listener = this.#listener;
    this.#listener = undefined;
    listener?.onEnd();
  }

  #onLines(text: string): void {
    for (let at = text.indexOf(BEFORE_TEXT); at !== -1; at = text.indexOf(BEFORE_TEXT, at)) {
      at += BEFORE_TEXT.length;
      const end = text.indexOf('"', at);
      if (end > at) this.#listener?.onText(text.slice(at, end));
    }
  }
}
