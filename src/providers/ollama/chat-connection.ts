import type { Readable } from 'node:stream';
import type { Deadlines } from '../../deadlines.ts';
import { untilAborted } from '../until-aborted.ts';
import { toRefusalError } from './ollama-errors.ts';
import type { Asked } from './ollama-errors.ts';
import { toRefusal } from './ollama-host.ts';
import type { OllamaHost } from './ollama-host.ts';

export interface ChatConnectionOptions {
  readonly host: OllamaHost;
  readonly deadlines: Deadlines;
  /** `chat` by default. */
  readonly endpoint?: 'chat' | 'pull';
  /** JSON. */
  readonly body: string;
  readonly asked: Asked;
  readonly signal: AbortSignal;
}

/** HTTP's own end follows the last line at once; a proxy that keeps it back loses the connection. */
const END_MS = 1_000;
const MAX_REFUSAL_CHARACTERS = 65_536;

/** The HTTP request of one chat, or one download: its bytes, and the care that Ollama stops working when nobody wants them. */
export class ChatConnection {
  readonly #options: ChatConnectionOptions;
  readonly #stop = new AbortController();
  readonly #onAbort = (): void => this.abort(this.#options.signal.reason);
  #body: Readable | undefined;
  #reads: AsyncIterator<Buffer> | undefined;

  constructor(options: ChatConnectionOptions) {
    this.#options = options;
    options.signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  /**
   * What one read from the socket brought; undefined at the end of the answer.
   * @throws LLMError for a refusal, the reason of an abort, or what undici throws
   */
  async read(): Promise<Buffer | undefined> {
    const { signal } = this.#stop;
    signal.throwIfAborted();
    try {
      this.#reads ??= await this.#open();
      const { done, value } = await this.#reads.next();
      return done === true ? undefined : value;
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    }
  }

  /** Closes the connection now; whoever reads meets the reason. */
  abort(reason: unknown): void {
    this.#stop.abort(reason);
  }

  /** The answer is whole: lets HTTP's end come, so that the connection can be used again. Nobody waits for it. */
  release(): void {
    this.#options.signal.removeEventListener('abort', this.#onAbort);
    void this.#awaitEnd();
  }

  /** Resolves when the connection is closed, or had ended by itself. */
  async close(): Promise<void> {
    this.#options.signal.removeEventListener('abort', this.#onAbort);
    const body = this.#body;
    if (body?.closed) return;
    this.#stop.abort();
    if (body) await new Promise((resolve) => body.once('close', resolve));
  }

  async #open(): Promise<AsyncIterator<Buffer>> {
    const { host, endpoint = 'chat', body, asked } = this.#options;
    const asking = host[endpoint](body, this.#stop.signal);
    // While it connects, undici only notes an abort: we leave, and it never sends the request.
    const response = await untilAborted(asking, this.#stop.signal);
    this.#body = response.body;
    this.#body.on('error', () => undefined); // whoever reads meets it; when nobody does, it must not end the process
    if (response.statusCode !== 200) {
      throw toRefusalError(toRefusal(response.statusCode, await readText(response.body)), asked);
    }
    return response.body[Symbol.asyncIterator]();
  }

  async #awaitEnd(): Promise<void> {
    const limit = this.#options.deadlines.start(END_MS, () => this.#stop.abort());
    try {
      await this.read(); // it has the end, or bytes after the end, which are nothing to us
    } catch {
      // The answer is whole: how the connection ends is no longer of interest.
    } finally {
      limit[Symbol.dispose]();
      await this.close();
    }
  }
}

const readText = async (body: Readable): Promise<string> => {
  let text = '';
  body.setEncoding('utf8');
  for await (const piece of body) {
    text += String(piece);
    if (text.length > MAX_REFUSAL_CHARACTERS) break;
  }
  return text;
};
