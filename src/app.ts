import { readFileSync } from 'node:fs';
import cors from '@fastify/cors';
import helmet from '@fastify/helmet';
import Fastify, { LogController, type FastifyBaseLogger, type FastifyInstance } from 'fastify';
import { createAuthenticator } from './auth/authenticate.ts';
import { createDoor } from './auth/door.ts';
import type { LLMChatService } from './chat/llm-chat-service.ts';
import type { Config } from './config.ts';
import { Deadlines } from './deadlines.ts';
import type { ErrorCode, LLMError } from './errors.ts';
import { openChatService, type Surroundings } from './service.ts';
import { systemClock, systemIds } from './system.ts';
import { createLog } from './telemetry/log.ts';
import { Metrics } from './telemetry/metrics.ts';
import { registerDoor } from './transport/door.ts';
import { registerDocumentRoutes, registerDocuments } from './transport/http/documents.ts';
import { registerHttpErrors } from './transport/http/http-errors.ts';
import { registerHttpTransport } from './transport/http/http-transport.ts';
import { unreadableRequests } from './transport/http/unreadable-request.ts';
import { registerSocketTransport } from './transport/socket/socket-transport.ts';

export interface App {
  readonly server: FastifyInstance;
  readonly chat: LLMChatService;
}

/** The version in package.json. */
export const VERSION: string = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
).version; // npm's own file

/** A client that sends its request slower than this is let go. */
const TIMES = { headersMs: 10_000, requestMs: 15_000, keepAliveMs: 72_000, checkMs: 5_000 };
const MAX_HEADER_BYTES = 8 * 1024;
/** An id has at most 200 characters, each up to 12 bytes in a URL. */
const MAX_ID_BYTES = 200 * 12;

// Only what the docs UI needs beyond nothing: its own script, style and images, and calls to this service.
const CONTENT_SECURITY_POLICY = {
  useDefaults: false,
  directives: {
    defaultSrc: ["'none'"],
    scriptSrc: ["'self'"],
    styleSrc: ["'self'", "'unsafe-inline'"],
    imgSrc: ["'self'", 'data:'],
    fontSrc: ["'self'", 'data:'],
    connectSrc: ["'self'"],
    baseUri: ["'none'"],
    formAction: ["'none'"],
    frameAncestors: ["'none'"],
  },
};

// pino's own type would go into every signature behind it.
const asBaseLogger = (log: FastifyBaseLogger): FastifyBaseLogger => log;

/** Builds every part and joins them; `server.listen` opens the doors, `server.close` closes all that was opened. */
export const buildApp = async (config: Config, given: Partial<Surroundings> = {}): Promise<App> => {
  const { clock = systemClock, ids = systemIds, log = createLog({ level: config.logLevel, pretty: false }) } = given;
  const deadlines = new Deadlines(clock);
  const metrics = new Metrics();
  const chat = await openChatService(config, { ...given, clock, ids, log, deadlines, observer: metrics });
  const onError = (error: LLMError): void => log.error({ err: error }, 'unexpected error');
  const onRefusal = (code: ErrorCode): void => metrics.countRefusal(code);
  const server = Fastify({
    loggerInstance: asBaseLogger(log),
    trustProxy: config.trustProxy.length > 0 ? [...config.trustProxy] : false,
    bodyLimit: config.maxPayloadBytes,
    connectionTimeout: 0, // a stream may be silent for long; the request itself has its own limits
    requestTimeout: TIMES.requestMs,
    keepAliveTimeout: TIMES.keepAliveMs,
    forceCloseConnections: true,
    http: {
      headersTimeout: TIMES.headersMs,
      connectionsCheckingInterval: TIMES.checkMs,
      maxHeaderSize: MAX_HEADER_BYTES,
    },
    ...unreadableRequests(clock),
    routerOptions: { maxParamLength: MAX_ID_BYTES },
    genReqId: () => ids.newId(),
    logController: new LogController({ disableRequestLogging: true }), // replies are logged when they end; a line per call would drown them
  });
  server.addHook('onClose', async () => {
    await chat.close();
    deadlines[Symbol.dispose]();
  });
  const door = createDoor({
    host: config.host,
    allowedOrigins: config.allowedOrigins,
    hasKeys: config.apiKeys.length > 0,
    isBehindProxy: config.trustProxy.length > 0,
  });
  registerHttpErrors(server, { clock, maxPayloadBytes: config.maxPayloadBytes, onError, onRefusal });
  await server.register(helmet, { contentSecurityPolicy: CONTENT_SECURITY_POLICY, strictTransportSecurity: false });
  await server.register(cors, {
    delegator: (request, callback) => {
      const { origin } = request.headers;
      const isAllowed = origin !== undefined && door.allowsOrigin(origin, request.host);
      callback(null, {
        origin: isAllowed,
        methods: ['GET', 'POST', 'PATCH', 'DELETE'],
        exposedHeaders: ['retry-after', 'ratelimit', 'ratelimit-policy'],
      });
    },
  });
  const toAsker = registerDoor(server, { door, authenticate: createAuthenticator({ keys: config.apiKeys }) });
  await registerSocketTransport(server, {
    chat,
    clock,
    deadlines,
    maxPayloadBytes: config.maxPayloadBytes,
    hasOthers: config.redisUrl !== undefined,
    onError,
    onRefusal,
    toAsker,
  });
  let demoId: string | undefined;
  await registerDocuments(server, { version: VERSION, toDemoId: () => demoId });
  const isProduction = config.nodeEnv === 'production';
  const newId = (): string => ids.newId();
  registerHttpTransport(server, { chat, clock, deadlines, onError, toAsker, newId, metrics, isProduction });
  registerDocumentRoutes(server, { version: VERSION });
  metrics.addGauges({
    queue: () => chat.load,
    running: () => chat.load.running,
    sockets: () => server.websocketServer.clients.size,
    hosts: () => chat.hosts,
  });
  await chat.initialize();
  if (!isProduction) demoId = await chat.createDemo(config.apiKeys[0]?.owner);
  return { server, chat };
};
