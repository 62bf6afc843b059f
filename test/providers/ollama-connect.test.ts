import { once } from 'node:events';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { Deadlines } from '../../src/deadlines.ts';
import { OllamaProvider } from '../../src/providers/ollama/ollama-provider.ts';
import { ChatConnection } from '../../src/providers/ollama/chat-connection.ts';
import { OllamaHost } from '../../src/providers/ollama/ollama-host.ts';
import { systemClock, systemIds } from '../../src/system.ts';

/** Accepts and says nothing: with https the connection is then never made. */
class SilentServer implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor() {
    this.#server = createServer((socket) => void this.#sockets.add(socket.on('error', () => undefined)));
  }

  /** An https address. */
  async listen(): Promise<string> {
    await once(this.#server.listen(0, '127.0.0.1'), 'listening');
    const address = this.#server.address();
    return `https://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
  }

  async untilConnected(): Promise<void> {
    if (this.#sockets.size === 0) await once(this.#server, 'connection');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }
}

describe('connecting', () => {
  it('has a limit of its own, which names the address and what to do', async () => {
    await using server = new SilentServer();
    using deadlines = new Deadlines(systemClock);
    const baseUrl = await server.listen();
    await using provider = new OllamaProvider({
      baseUrls: [baseUrl],
      ids: systemIds,
      deadlines,
      contextWindow: 2048,
      keepAlive: '30m',
      silenceMs: 30_000,
      loadTimeoutMs: 300_000,
      clock: systemClock,
      connectTimeoutMs: 100,
    });
    const error = await provider.findModel('llama3').catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'backend_unavailable', transient: true });
    expect(String(error)).toMatch(/Nothing answers at https:\/\/127\.0\.0\.1.*`ollama serve`/);
  });

  it('is left at once by an abort, with the signal’s reason', async () => {
    await using server = new SilentServer();
    using deadlines = new Deadlines(systemClock);
    const baseUrl = await server.listen();
    await using host = new OllamaHost({ baseUrl, deadlines, connectTimeoutMs: 60_000 });
    const controller = new AbortController();
    const asked = { address: host.address };
    const connection = new ChatConnection({ host, deadlines, body: '{}', asked, signal: controller.signal });
    const read = connection.read().catch((reason: unknown) => reason);
    await server.untilConnected();
    controller.abort('gone');
    expect(await read).toBe('gone');
    await connection.close();
  });
});
