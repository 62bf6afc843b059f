import websocket, { type WebSocket } from '@fastify/websocket';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '../../clock.ts';
import type { Deadlines } from '../../deadlines.ts';
import { NotFoundError, type ErrorCode, type LLMError } from '../../errors.ts';
import { selectSubprotocol } from '../../auth/credentials.ts';
import type { LLMChatService } from '../../chat/llm-chat-service.ts';
import type { Asker } from '../door.ts';
import { Heartbeat } from './heartbeat.ts';
import { SocketSender } from './socket-sender.ts';
import { SocketSession } from './socket-session.ts';

export interface SocketTransportOptions {
  readonly chat: LLMChatService;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly maxPayloadBytes: number;
  /** Whether other instances can go on with what this one leaves. */
  readonly hasOthers: boolean;
  /** Who asks, by what the handshake brought; the handshake was refused before where nobody may. */
  readonly toAsker: (request: FastifyRequest) => Asker;
  readonly onError: (error: LLMError) => void;
  /** Told the code of what was refused before it was a request. */
  readonly onRefusal: (code: ErrorCode) => void;
}

export const SOCKET_PATH = '/ws';

const CLOSE_GOING_AWAY = 1001;
/** Come back: another instance answers. */
const CLOSE_RESTART = 1012;
/** How long a client may take to answer, when the service stops. */
const GOODBYE_MS = 500;
/** The same in the socket library, for the closes that are its own (broken frames, a client's close). */
const LIBRARY_CLOSE_MS = 5_000;
/** Above it a client's frames wait in the kernel. */
const MAX_HANDLING = 32;
/** The socket library's own limit lies above ours, so that the client can be told which it has passed. */
const LIBRARY_LIMIT = { factor: 4, atLeast: 1024 * 1024 };

/** The WebSocket wire at `/ws`. */
export const registerSocketTransport = async (app: FastifyInstance, options: SocketTransportOptions): Promise<void> => {
  await app.register(websocket, {
    options: toServerOptions(options),
    errorHandler: ignore,
    preClose: async () => closeAll(app.websocketServer.clients, options),
  });
  app.route({
    method: 'GET',
    url: SOCKET_PATH,
    config: { isSocket: true },
    schema: { hide: true },
    preHandler: letGoOfResponse,
    handler: () => {
      throw new NotFoundError(
        'Here is a WebSocket: connect with ws://, not with http://. /asyncapi.yaml describes it.',
      );
    },
    wsHandler: (socket, request) => serve(socket, request, options),
  });
};

// ws 8.23 knows more options than its types do: a value in a constant passes where a literal would not.
const toServerOptions = ({ maxPayloadBytes }: SocketTransportOptions) => {
  const known = {
    maxPayload: Math.max(maxPayloadBytes * LIBRARY_LIMIT.factor, LIBRARY_LIMIT.atLeast),
    perMessageDeflate: false, // 21 times the memory per socket
    handleProtocols: selectSubprotocol,
  };
  return { ...known, closeTimeout: LIBRARY_CLOSE_MS, maxFragments: 64, maxBufferedChunks: 1024 };
};

/**
 * Listeners are attached before anything is waited for: the first frame may be here already. A socket that says
 * nothing is to cost little: nobody keeps its handshake, and its session begins with its first frame.
 */
const serve = (socket: WebSocket, request: FastifyRequest, options: SocketTransportOptions): void => {
  const asker = options.toAsker(request);
  const sender = new SocketSender(socket, request.raw.socket, options.deadlines);
  const heartbeat = new Heartbeat(socket, sender, options.deadlines);
  let session: SocketSession | undefined;
  socket.removeAllListeners('error'); // the plugin's has the handshake in its hands
  socket.on('error', ignore);
  socket.on('message', (data, isBinary) => {
    session ??= new SocketSession(options, { sender, asker });
    const handled = session.onFrame(toBuffer(data), isBinary);
    if (session.handling < MAX_HANDLING) return;
    socket.pause();
    void handled.finally(() => socket.resume());
  });
  socket.on('close', () => {
    heartbeat[Symbol.dispose]();
    session?.close();
  });
};

/** A broken frame: the library closes the socket with the code that says so. */
const ignore = (): void => undefined;

/** The response of a handshake writes nothing, and would be kept as long as the socket. */
const letGoOfResponse = async ({ ws, raw }: FastifyRequest, reply: FastifyReply): Promise<void> => {
  if (ws) reply.raw.detachSocket(raw.socket);
};

const toBuffer = (data: Buffer | ArrayBuffer | Buffer[]): Buffer => {
  if (Array.isArray(data)) return Buffer.concat(data);
  return Buffer.isBuffer(data) ? data : Buffer.from(data);
};

const closeAll = async (
  clients: ReadonlySet<WebSocket>,
  { deadlines, hasOthers }: SocketTransportOptions,
): Promise<void> => {
  using _impatience = deadlines.start(GOODBYE_MS, () => clients.forEach((client) => client.terminate()));
  const closed = [...clients].map(
    (client) =>
      new Promise<void>((resolve) => {
        client.once('close', () => resolve());
        client.close(hasOthers ? CLOSE_RESTART : CLOSE_GOING_AWAY, 'the service is stopping');
      }),
  );
  await Promise.all(closed);
};
