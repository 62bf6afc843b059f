import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { text as readText } from 'node:stream/consumers';
import { goJson } from './go-json.ts';
import type { HttpRefusal } from './http-refusal.ts';
import type { Ledger, LedgerEntry } from './ledger.ts';

const CHUNKED_ABOVE_BYTES = 2048; // Go's own buffer: what fits is sent with its Content-Length

/** The client of a request left before its answer was whole. */
export class ClientLeft extends Error {}

/** The server tore the connection itself. */
export class ConnectionTorn extends Error {}

/** One request and its answer, in the framing of Go's server; writes the ledger's entry as it goes. */
export class Exchange {
  readonly entry: LedgerEntry;
  readonly path: string;
  /** Aborts when the connection ends before the answer does, whoever ended it. */
  readonly signal: AbortSignal;
  readonly #left = new AbortController();
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #ledger: Ledger;

  constructor({ request, response, ledger }: { request: IncomingMessage; response: ServerResponse; ledger: Ledger }) {
    this.signal = this.#left.signal;
    this.#request = request;
    this.#response = response;
    this.#ledger = ledger;
    this.path = (request.url ?? '/').replace(/\?.*$/, '');
    this.entry = createEntry(ledger.entries.length, this.path, request);
    ledger.entries.push(this.entry);
    response.once('close', () => {
      this.#close('left');
      this.#left.abort(new ClientLeft());
    });
    response.once('error', () => this.#close('left'));
    response.sendDate = true;
    if (request.headers.connection?.toLowerCase() !== 'close') response.removeHeader('connection'); // Go says nothing when it keeps it
    ledger.changed();
  }

  get method(): string {
    return this.entry.method;
  }

  /** Whether a head was sent. */
  get hasBegun(): boolean {
    return this.#response.headersSent;
  }

  /** Whether nobody is there to be answered, be it seen as a close already or not yet. */
  get isGone(): boolean {
    return this.signal.aborted || this.#request.socket.destroyed;
  }

  /** The whole body; the ledger keeps it as JSON when it is. */
  async readBody(): Promise<string> {
    const text = await readText(this.#request);
    this.entry.body = parseOrKeep(text);
    this.#ledger.changed();
    return text;
  }

  changed(): void {
    this.#ledger.changed();
  }

  json(status: number, value: unknown): void {
    this.#whole(status, 'application/json; charset=utf-8', goJson(value));
  }

  /** The answer of create and pull when they do not stream. */
  bareJson(status: number, value: unknown): void {
    this.#whole(status, 'application/json', goJson(value));
  }

  refuse({ status, message, fromRunner }: HttpRefusal): void {
    if (!fromRunner) return this.json(status, { error: message });
    this.head(status, { 'Content-Type': 'application/json' });
    this.#response.write(goJson({ error: message }));
    this.end();
  }

  text(status: number, text: string, headers: Readonly<Record<string, string>>): void {
    this.head(status, { ...headers, 'Content-Length': String(Buffer.byteLength(text)) });
    this.#finish(text);
  }

  empty(status: number): void {
    this.text(status, '', {});
  }

  head(status: number, headers: Readonly<Record<string, string>>): void {
    this.entry.status = status;
    this.#response.writeHead(status, headers);
    this.#ledger.changed();
  }

  /** One HTTP chunk; waits while the client does not read. Opens a stream of lines if nothing was sent yet. */
  async write(bytes: string | Uint8Array): Promise<void> {
    this.signal.throwIfAborted();
    if (!this.hasBegun) this.head(200, { 'Content-Type': 'application/x-ndjson' });
    if (!this.#response.write(bytes)) await once(this.#response, 'drain', { signal: this.signal });
  }

  /** HTTP's proper end. */
  end(): void {
    if (this.#response.writableEnded) return;
    if (!this.hasBegun) this.head(200, { 'Content-Type': 'application/x-ndjson' });
    this.#finish();
  }

  /** Closes the connection behind what was written, without HTTP's proper end. */
  close(): void {
    this.#close('reset');
    this.#left.abort(new ConnectionTorn());
    this.#request.socket.destroySoon();
  }

  /** Tears the connection, so that the client's system reports a reset. */
  reset(): void {
    this.#close('reset');
    this.#left.abort(new ConnectionTorn());
    this.#request.socket.resetAndDestroy();
  }

  /** The server dies: the connection just closes. */
  kill(): void {
    this.#close('killed');
    this.#left.abort(new ConnectionTorn());
    this.#request.socket.destroy();
  }

  #whole(status: number, type: string, body: string): void {
    if (Buffer.byteLength(body) <= CHUNKED_ABOVE_BYTES) return this.text(status, body, { 'Content-Type': type });
    this.head(status, { 'Content-Type': type });
    this.#response.write(body);
    this.end();
  }

  /** The entry is closed before the client can see the end, so that whoever has the answer finds it in the ledger. */
  #finish(body?: string): void {
    this.#close('answered');
    this.#response.end(body);
  }

  #close(outcome: LedgerEntry['outcome']): void {
    const { entry } = this;
    if (entry.outcome !== 'open') return;
    entry.outcome = outcome;
    entry.endedAt = performance.now();
    if (outcome === 'answered') this.#ledger.setGenerating(entry, false);
    if (outcome === 'left') {
      entry.abortedByClient = true;
      entry.abortedAt = entry.endedAt;
    }
    this.#ledger.changed();
  }
}

const createEntry = (index: number, path: string, request: IncomingMessage): LedgerEntry => ({
  index,
  method: request.method ?? 'GET',
  path,
  headers: request.headers,
  body: undefined,
  arrivedAt: performance.now(),
  status: undefined,
  outcome: 'open',
  abortedByClient: false,
  abortedAt: undefined,
  endedAt: undefined,
  tokens: 0,
  salt: undefined,
  prompt: '',
  promptTokens: 0,
  model: undefined,
  generating: false,
  script: undefined,
});

function parseOrKeep(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
