import { LLMError } from '../errors.ts';

/** What of an object may stand in the log. Allow-lists: what is not named here is never written. */

/** A frame with a place in a file; a line of a message that only begins like one is left out. */
const STACK_FRAME = /^\s+at (?:.{1,200} \()?(?:file:\/\/|node:|\/|[A-Z]:\\)[^\s()]*:\d+:\d+\)?$/;
/** Names and codes are identifiers; what is not could be anything. */
const IDENTIFIER = /^[\w.$-]{1,64}$/;
const MAX_CAUSES = 5;
const MAX_PARTS = 5;

/** An error without its text: a foreign one may repeat what people said, and ours only name it in a `cause`. */
export interface LoggedError {
  readonly type: string;
  readonly code?: string | number;
  /** Of an `LLMError` only: those are sentences of this service. */
  readonly message?: string;
  /** Frames only, as V8 writes them. Of a foreign error only: ours are thrown where they are expected. */
  readonly stack?: string;
  readonly cause?: LoggedError;
  /** Of an `AggregateError`. */
  readonly errors?: readonly LoggedError[];
}

/** Shows an error, and what caused it, to a fixed depth. */
export const toLoggedError = (error: unknown, depth = 0): LoggedError => {
  if (!(error instanceof Error)) return { type: error === null ? 'null' : typeof error };
  const cause =
    error.cause === undefined || depth >= MAX_CAUSES ? {} : { cause: toLoggedError(error.cause, depth + 1) };
  if (error instanceof LLMError) return { type: error.name, code: error.code, message: error.message, ...cause };
  return {
    type: identifier(error.name) ?? 'Error',
    ...codeOf(error),
    ...framesOf(error),
    ...partsOf(error, depth),
    ...cause,
  };
};

const identifier = (value: unknown): string | undefined =>
  typeof value === 'string' && IDENTIFIER.test(value) ? value : undefined;

const codeOf = (error: Error): { code?: string | number } => {
  const code: unknown = 'code' in error ? error.code : undefined;
  const known = typeof code === 'number' ? code : identifier(code);
  return known === undefined ? {} : { code: known };
};

/** A stack begins with the message, which may have lines of its own: where it cannot be cut off, nothing is shown. */
const framesOf = ({ stack, message }: Error): { stack?: string } => {
  const start = stack?.indexOf(message) ?? -1;
  if (stack === undefined || start === -1) return {};
  const frames = stack
    .slice(start + message.length)
    .split('\n')
    .filter((line) => STACK_FRAME.test(line));
  return frames.length === 0 ? {} : { stack: frames.join('\n') };
};

const partsOf = (error: Error, depth: number): { errors?: readonly LoggedError[] } =>
  error instanceof AggregateError && depth < MAX_CAUSES
    ? { errors: error.errors.slice(0, MAX_PARTS).map((part: unknown) => toLoggedError(part, depth + 1)) }
    : {};

/** What is read of a Fastify request. */
export interface LoggableRequest {
  readonly id?: unknown;
  readonly method?: string;
  /** Of the route that answers, when there is one. */
  readonly routeOptions?: { readonly url?: string | undefined };
  readonly ip?: string;
}

/** The route's pattern instead of the path: what a caller wrote into a path or a query may be anything. */
export const toLoggedRequest = (request: LoggableRequest): Readonly<Record<string, unknown>> => ({
  id: request.id,
  method: request.method,
  route: request.routeOptions?.url ?? null,
  remoteAddress: request.ip,
});

/** No headers, no body. */
export const toLoggedResponse = (reply: { readonly statusCode?: number }): Readonly<Record<string, unknown>> => ({
  statusCode: reply.statusCode,
});
