import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildApp, type App } from '../../src/app.ts';
import type { LLMChatService } from '../../src/chat/llm-chat-service.ts';
import { parseConfig, type Variables } from '../../src/config.ts';
import type { Surroundings } from '../../src/service.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { PLENTY } from './chat-service.ts';
import { EventSourceReader } from './event-source-reader.ts';
import { ScriptedOllama, type ScriptedOllamaOptions } from './scripted-ollama/scripted-ollama.ts';
import { SocketClient, type SocketClientOptions } from './socket-client.ts';

export interface RunningServiceOptions {
  readonly settings?: Variables;
  /** One of its own by default, or one that is shared: that one outlives the service. */
  readonly ollama?: ScriptedOllamaOptions | ScriptedOllama;
  /** A clock of the test's own, for example. */
  readonly surroundings?: Partial<Surroundings>;
}

/** How a socket is opened; at `/ws` by default. */
export interface ConnectOptions extends SocketClientOptions {
  readonly path?: string;
}

/** An HTTP call: a body that is no text is sent as JSON. */
export interface Call {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly signal?: AbortSignal;
}

/** What came back. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body, where it is a JSON object; empty otherwise. */
  readonly body: Readonly<Record<string, unknown>>;
}

/**
 * The whole service on a free port of this machine, before a scripted Ollama and on a folder of its own.
 * Disposing it closes its clients, the service, the Ollama and the folder.
 */
export class RunningService implements AsyncDisposable {
  readonly ollama: ScriptedOllama;
  readonly dataDir: string;
  readonly #app: App;
  readonly #isShared: boolean;
  readonly #logLines: string[];
  readonly #clients = new Set<SocketClient | EventSourceReader>();
  #url = '';

  private constructor(parts: {
    app: App;
    ollama: ScriptedOllama;
    isShared: boolean;
    dataDir: string;
    logLines: string[];
  }) {
    this.ollama = parts.ollama;
    this.#isShared = parts.isShared;
    this.#app = parts.app;
    this.dataDir = parts.dataDir;
    this.#logLines = parts.logLines;
  }

  static async start(options: RunningServiceOptions = {}): Promise<RunningService> {
    const isShared = options.ollama instanceof ScriptedOllama;
    const ollama =
      options.ollama instanceof ScriptedOllama ? options.ollama : await ScriptedOllama.start(options.ollama);
    const dataDir = await mkdtemp(join(tmpdir(), 'running-service-'));
    const logLines: string[] = [];
    const log = createLog({ level: 'warn', pretty: false, destination: { write: (line) => logLines.push(line) } });
    const config = parseConfig({
      OLLAMA_BASE_URL: ollama.url,
      LLM_MODEL: 'tiny-chat',
      LLM_MODELS: 'tiny-plain,tiny-vision',
      LLM_MAX_RETRIES: '0',
      NODE_ENV: 'test',
      DATA_DIR: dataDir,
      ...PLENTY,
      ...options.settings,
    });
    const app = await buildApp(config, { log, ...options.surroundings });
    const service = new RunningService({ app, ollama, isShared, dataDir, logLines });
    service.#url = await app.server.listen({ host: '127.0.0.1', port: 0 });
    return service;
  }

  /** `http://127.0.0.1:…` without a slash behind it. */
  get url(): string {
    return this.#url;
  }

  get port(): number {
    return Number(new URL(this.#url).port);
  }

  /** Behind the wires. */
  get chat(): LLMChatService {
    return this.#app.chat;
  }

  /** What was logged as a warning or worse, in JSON. */
  get logLines(): readonly string[] {
    return this.#logLines;
  }

  /** The document as the service shows it. */
  get openApi(): Readonly<Record<string, unknown>> {
    return { ...this.#app.server.swagger() };
  }

  /** A socket that is open. Rejects with the status where the handshake is refused. */
  async connect({ path = '/ws', ...options }: ConnectOptions = {}): Promise<SocketClient> {
    const client = await SocketClient.connect(this.#url.replace('http', 'ws') + path, options);
    this.#clients.add(client);
    return client;
  }

  async call(path: string, call: Call = {}): Promise<Answer> {
    const response = await fetch(this.#url + path, toInit(call));
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, body: toObject(text) };
  }

  /** A POST of JSON. */
  post(path: string, body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return this.call(path, { method: 'POST', body, headers });
  }

  /** A call that is answered with server-sent events. Resolves with the head. */
  async openEvents(path: string, call: Call = {}): Promise<EventSourceReader> {
    const leaving = new AbortController();
    const headers = { accept: 'text/event-stream', ...call.headers };
    const response = await fetch(this.#url + path, toInit({ ...call, headers, signal: leaving.signal }));
    const reader = new EventSourceReader(response, leaving);
    this.#clients.add(reader);
    return reader;
  }

  /** Stops the service as a signal does, without waiting for replies. */
  async stop(): Promise<void> {
    await this.#app.server.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client[Symbol.dispose]();
    await this.stop();
    if (!this.#isShared) await this.ollama.stop();
    await rm(this.dataDir, { recursive: true, force: true });
  }
}

const toInit = ({ method, headers = {}, body, signal }: Call): RequestInit => ({
  method: method ?? (body === undefined ? 'GET' : 'POST'),
  redirect: 'manual',
  ...(signal && { signal }),
  ...(body === undefined
    ? { headers }
    : {
        headers: { 'content-type': 'application/json', ...headers },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      }),
});

const toObject = (text: string): Readonly<Record<string, unknown>> => {
  try {
    return Object(JSON.parse(text)) as Record<string, unknown>; // what is no object has no fields
  } catch {
    return {};
  }
};
