import { once } from 'node:events';
import { crc32 } from 'node:zlib';
import { WebSocket } from 'ws';

interface Data {
  readonly message_id: string;
  readonly seq?: number;
  readonly at?: number;
  readonly text?: string;
  readonly digest?: string;
}

/** A client that can stop reading, and that keeps account of what it was told. */
export class StuckReader {
  readonly #url: string;
  readonly #conversationId: string;
  #socket: WebSocket;
  #messageId = '';
  #seq = 0;
  #text = '';
  #isExact = true;
  #closeCode: number | undefined;
  readonly #ended = Promise.withResolvers<void>();

  private constructor(url: string, conversationId: string, socket: WebSocket) {
    this.#url = url;
    this.#conversationId = conversationId;
    this.#socket = socket;
    this.#listen();
  }

  static async open({ url, conversationId }: { url: string; conversationId: string }): Promise<StuckReader> {
    const socket = new WebSocket(url);
    await once(socket, 'open');
    return new StuckReader(url, conversationId, socket);
  }

  /** `cumulative` is the whole text with every delta, so that much piles up. */
  ask(prompt: string, stream: 'delta' | 'cumulative'): void {
    const data = { conversation_id: this.#conversationId, message: prompt, stream };
    this.#socket.send(JSON.stringify({ event: 'llm_request', data }));
  }

  pause(): void {
    this.#socket.pause();
  }

  /** Reads what has piled up; the code with which it was closed meanwhile, if it was. */
  async goOn(): Promise<number | undefined> {
    if (!this.#socket.isPaused) return undefined;
    const closed = once(this.#socket, 'close', { signal: AbortSignal.timeout(10_000) });
    this.#socket.resume();
    await closed.catch(() => undefined); // it was not closed: the figure says so
    return this.#closeCode;
  }

  /** Comes back where it was closed, and waits for the end: whether nothing is missing and nothing came twice. */
  async resume(): Promise<boolean> {
    if (this.#closeCode !== undefined) {
      this.#socket = new WebSocket(this.#url);
      this.#listen();
      await once(this.#socket, 'open');
      const data = { message_id: this.#messageId, seq: this.#seq };
      this.#socket.send(JSON.stringify({ event: 'llm_resume', data }));
    }
    const limit = setTimeout(() => this.#ended.reject(new Error('a reply has not ended in time')), 60_000);
    await this.#ended.promise;
    clearTimeout(limit);
    this.#socket.terminate();
    return this.#isExact;
  }

  #listen(): void {
    this.#socket.on('error', () => undefined); // the close says more
    this.#socket.on('message', (frame: Buffer) => this.#onFrame(String(frame)));
    this.#socket.once('close', (code) => (this.#closeCode ??= code));
  }

  #onFrame(frame: string): void {
    const { event, data } = JSON.parse(frame) as { event: string; data: Data }; // the service's own
    this.#messageId ||= data.message_id;
    if (data.seq === undefined) return;
    if (data.seq !== this.#seq + 1) this.#isExact = false;
    this.#seq = data.seq;
    if (event === 'llm_delta') this.#addText(data);
    if (event === 'llm_error') this.#isExact = false;
    if (event === 'llm_response') this.#isExact &&= data.digest === toDigest(this.#text);
    if (event === 'llm_response' || event === 'llm_error') this.#ended.resolve();
  }

  #addText({ at, text = '' }: Data): void {
    if (at !== this.#text.length) this.#isExact = false;
    this.#text += text;
  }
}

const toDigest = (text: string): string => crc32(text).toString(16).padStart(8, '0');
