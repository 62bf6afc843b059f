import { Ollama } from 'ollama/browser';
import { Agent, fetch } from 'undici';
import type { Dispatcher } from 'undici';
import type { Deadlines } from '../../deadlines.ts';
import { BackendUnavailableError } from '../../errors.ts';
import type { LLMError } from '../../errors.ts';
import { isObject } from './line-reader.ts';
import { NoAnswer, OllamaRefusal, toConnectionError, toRefusalError } from './ollama-errors.ts';
import type { Asked } from './ollama-errors.ts';

export interface OllamaHostOptions {
  /** With a path and `user:password@` where there is a proxy in front. */
  readonly baseUrl: string;
  /** What messages call it instead of its address: callers of a service in production need not know that. */
  readonly alias?: string;
  readonly connectTimeoutMs: number;
  readonly deadlines: Deadlines;
}

/** How long a question may take, and what is said when it takes longer. */
export interface AskOptions {
  readonly limitMs?: number;
  readonly toLimitError?: () => LLMError;
  readonly signal?: AbortSignal;
  readonly asked?: Partial<Asked>;
}

/** What needs no model is answered from memory: whoever takes longer for it does not answer. */
const QUICK_MS = 5_000;

/** One Ollama server: its address, and its connections, which are nobody else's. */
export class OllamaHost implements AsyncDisposable {
  /** The base URL without credentials: for logs and `/health`. */
  readonly address: string;
  /** The same for messages, or what stands for it. */
  readonly shownAddress: string;
  readonly #deadlines: Deadlines;
  readonly #agent: Agent;
  readonly #origin: string;
  readonly #path: string;
  readonly #headers: Readonly<Record<string, string>>;

  constructor({ baseUrl, alias, connectTimeoutMs, deadlines }: OllamaHostOptions) {
    const url = new URL(baseUrl);
    this.#origin = url.origin;
    this.#path = url.pathname.replace(/\/+$/, '');
    this.address = `${this.#origin}${this.#path}`;
    this.shownAddress = alias ?? this.address;
    this.#headers = toAuthorization(url);
    this.#deadlines = deadlines;
    // Undici's own limits would end a load after five minutes (300 s to the headers); the provider has its clocks.
    this.#agent = new Agent({ headersTimeout: 0, bodyTimeout: 0, connect: { timeout: connectTimeoutMs } });
  }

  /**
   * Begins a chat. The answer's headers come with its first line: after the load, the queue and the prompt.
   * The signal works from here on, also while connecting. Redirects are not followed.
   * @throws what undici throws
   */
  chat(body: string, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    return this.#post('/api/chat', body, signal);
  }

  /** Begins the download of a model: lines of progress, the last of which is `success`. As `chat` in all else. */
  pull(body: string, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    return this.#post('/api/pull', body, signal);
  }

  #post(path: string, body: string, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    return this.#agent.request({
      origin: this.#origin,
      path: this.#path + path,
      method: 'POST',
      headers: { ...this.#headers, 'content-type': 'application/json', accept: 'application/x-ndjson' },
      body,
      signal,
    });
  }

  /**
   * Everything but a chat, through the `ollama` package: a client of its own for each call, since the package
   * can neither abort nor time a call and we do both in the `fetch` that we hand to it.
   * @throws LLMError, or the signal's reason
   */
  async ask<T>(call: (client: Ollama) => Promise<T>, options: AskOptions = {}): Promise<T> {
    const { limitMs = QUICK_MS, toLimitError = () => this.#noAnswer(limitMs), signal, asked } = options;
    const about = { address: this.shownAddress, ...asked };
    const stop = new AbortController();
    const onAbort = (): void => stop.abort(signal?.reason);
    signal?.throwIfAborted();
    signal?.addEventListener('abort', onAbort, { once: true });
    const limit = this.#deadlines.start(limitMs, () => stop.abort(toLimitError()));
    try {
      return await call(this.#createClient(stop.signal, about));
    } catch (error) {
      stop.signal.throwIfAborted();
      throw toConnectionError(error, about);
    } finally {
      limit[Symbol.dispose]();
      signal?.removeEventListener('abort', onAbort);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy();
  }

  #createClient(signal: AbortSignal, asked: Asked): Ollama {
    const fetchHere: typeof globalThis.fetch = async (input, init) => {
      const response = await fetch(toAddress(input), {
        method: init?.method ?? 'GET',
        headers: Object.fromEntries(new Headers(init?.headers)),
        body: typeof init?.body === 'string' ? init.body : null,
        dispatcher: this.#agent,
        redirect: 'error',
        signal,
      });
      const text = await response.text();
      // Before the package sees it: of a refusal that is no JSON it writes a line to stdout.
      if (!response.ok) throw toRefusalError(toRefusal(response.status, text), asked);
      return new Response(text); // of the runtime's own kind, which the package expects
    };
    return new Ollama({ host: this.address, headers: this.#headers, fetch: fetchHere });
  }

  #noAnswer(limitMs: number): LLMError {
    const sentence = `Ollama at ${this.shownAddress} did not answer within ${limitMs / 1000} s. Is it overloaded?`;
    return new BackendUnavailableError(sentence, { transient: true, cause: new NoAnswer(sentence) });
  }
}

const toAddress = (input: string | URL | Request): string | URL => (input instanceof Request ? input.url : input);

const toAuthorization = ({ username, password }: URL): Record<string, string> => {
  if (username === '' && password === '') return {};
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` };
};

/** The body of a refusal is `{"error": "…"}`; a proxy's may be anything. */
export const toRefusal = (status: number, body: string): OllamaRefusal => {
  try {
    const value: unknown = JSON.parse(body);
    if (isObject(value) && typeof value['error'] === 'string') return new OllamaRefusal(status, value['error']);
  } catch {
    // Not Ollama's own: the text as it stands is then all there is.
  }
  return new OllamaRefusal(status, body);
};
