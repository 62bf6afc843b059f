import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import type { z } from 'zod';
import type { Clock } from '../../clock.ts';
import {
  InvalidRequestError,
  LLMError,
  NotFoundError,
  PayloadTooLargeError,
  toLLMError,
  type ErrorCode,
} from '../../errors.ts';
import { toFailure, type Failure } from '../../chat/results.ts';
import { HTTP_STATUS } from '../../protocol/errors.ts';
import { ConversationId, RequestId } from '../../protocol/fields.ts';
import { toErrorData } from '../reply-frames.ts';
import { toInvalidRequest } from '../request-parser.ts';

/** Answers with a failure: its status by the code, and its body. */
export const sendFailure = (reply: FastifyReply, failure: Failure): FastifyReply => {
  if (failure.retryAfterMs !== undefined) void reply.header('retry-after', Math.ceil(failure.retryAfterMs / 1000));
  if (failure.limit !== undefined) void reply.headers(toRateLimitHeaders(failure));
  if (failure.code === 'unauthorized') void reply.header('www-authenticate', 'Bearer');
  return reply
    .code(HTTP_STATUS[failure.code])
    .type('application/json; charset=utf-8')
    .serializer(JSON.stringify)
    .send(toErrorData(failure));
};

/**
 * As draft-ietf-httpapi-ratelimit-headers-10 has them: the quota (`q`) of a window in seconds (`w`) or of what may run
 * at once, what remains of it (`r`), and the seconds until there is more (`t`).
 */
const toRateLimitHeaders = ({ limit, remaining, windowMs, retryAfterMs = 0 }: Failure): Record<string, string> => {
  const seconds = Math.ceil(retryAfterMs / 1000);
  return windowMs === undefined
    ? { 'ratelimit-policy': `"replies";q=${limit};qu="concurrent-requests"`, ratelimit: `"replies";r=${remaining}` }
    : {
        'ratelimit-policy': `"requests";q=${limit};w=${windowMs / 1000}`,
        ratelimit: `"requests";r=${remaining};t=${seconds}`,
      };
};

export interface HttpErrorOptions {
  readonly clock: Clock;
  readonly maxPayloadBytes: number;
  readonly onError: (error: LLMError) => void;
  /** Told the code of what was refused before it was a request. */
  readonly onRefusal: (code: ErrorCode) => void;
}

type FailureContext = Pick<Failure, 'conversationId' | 'requestId'>;

/** Every error, whoever threw it, becomes one of ours and has the one shape. */
export const registerHttpErrors = (
  app: FastifyInstance,
  { clock, maxPayloadBytes, onError, onRefusal }: HttpErrorOptions,
): void => {
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    const known = toKnown(error, maxPayloadBytes);
    if (known.code === 'internal_error') onError(known);
    onRefusal(known.code);
    return sendFailure(reply, toFailure(known, clock.now(), toContext(request)));
  });
  app.setNotFoundHandler((request, reply) => {
    const error = new NotFoundError(`There is nothing at ${request.method} ${request.url.split('?')[0]}. See /docs.`);
    onRefusal(error.code);
    return sendFailure(reply, toFailure(error, clock.now()));
  });
};

const NOT_JSON = 'Send a JSON object as the body, with Content-Type: application/json.';

const toKnown = (error: FastifyError, maxPayloadBytes: number): LLMError => {
  if (hasZodFastifySchemaValidationErrors(error)) return toInvalid(error.validation, error.validationContext);
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new PayloadTooLargeError(
        `The body is too large; at most ${maxPayloadBytes} bytes are taken (MAX_PAYLOAD_BYTES).`,
      );
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new InvalidRequestError(NOT_JSON);
  }
  if (error instanceof LLMError || !isClients(error)) return toLLMError(error);
  return new InvalidRequestError('The request could not be read.', { cause: error });
};

const isClients = ({ statusCode = 500 }: FastifyError): boolean => statusCode >= 400 && statusCode < 500;

/** What the request says of itself, where it can be read: an error names its conversation. */
const toContext = ({ params, body }: FastifyRequest): FailureContext => {
  const conversationId = ConversationId.safeParse(
    fieldOf(body, 'conversation_id') ?? fieldOf(params, 'conversation_id'),
  );
  const requestId = RequestId.safeParse(fieldOf(body, 'request_id'));
  return {
    ...(conversationId.success && { conversationId: conversationId.data }),
    ...(requestId.success && { requestId: requestId.data }),
  };
};

const fieldOf = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? Object.entries(value).find(([key]) => key === name)?.[1] : undefined;

type ValidationIssue = NonNullable<FastifyError['validation']>[number];

const toInvalid = (issues: readonly ValidationIssue[], where = 'body'): InvalidRequestError =>
  issues.some(({ instancePath, keyword }) => where === 'body' && instancePath === '/' && keyword === 'invalid_type')
    ? new InvalidRequestError(NOT_JSON)
    : toInvalidRequest(issues.map(toZodIssue), where);

/** The type provider takes zod's issues apart; this puts them together again. */
const toZodIssue = ({ keyword, instancePath, message, params }: ValidationIssue): z.core.$ZodIssue =>
  ({ ...params, code: keyword, path: instancePath.split('/').filter(Boolean), message }) as unknown as z.core.$ZodIssue; // made from one
