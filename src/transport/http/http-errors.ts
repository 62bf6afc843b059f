import type { FastifyError, FastifyInstance, FastifyReply } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import type { Clock } from '../../clock.ts';
import {
  InternalError,
  InvalidRequestError,
  NotFoundError,
  PayloadTooLargeError,
  toLLMError,
  type ErrorCode,
  type LLMError,
} from '../../errors.ts';
import { toFailure, type Failure } from '../../chat/results.ts';
import { HTTP_STATUS } from '../../protocol/errors.ts';
import { toErrorData } from '../reply-frames.ts';

/** What is worth a wait says how long, also where nobody knows. */
const DEFAULT_RETRY_AFTER_S = 5;
const TELLS_RETRY_AFTER: ReadonlySet<ErrorCode> = new Set([
  'rate_limited',
  'queue_full',
  'draining',
  'storage_unavailable',
  'storage_full',
  'backend_unavailable',
]);

/** Answers with a failure: its status by the code, and its body. */
export const sendFailure = (reply: FastifyReply, failure: Failure): FastifyReply => {
  if (TELLS_RETRY_AFTER.has(failure.code)) {
    const seconds = failure.retryAfterMs === undefined ? DEFAULT_RETRY_AFTER_S : Math.ceil(failure.retryAfterMs / 1000);
    void reply.header('retry-after', seconds);
  }
  if (failure.code === 'unauthorized') void reply.header('www-authenticate', 'Bearer');
  return reply
    .code(HTTP_STATUS[failure.code])
    .type('application/json; charset=utf-8')
    .serializer(JSON.stringify)
    .send(toErrorData(failure));
};

export interface HttpErrorOptions {
  readonly clock: Clock;
  readonly maxPayloadBytes: number;
  readonly onError: (error: LLMError) => void;
}

/** Every error, whoever threw it, becomes one of ours and has the one shape. */
export const registerHttpErrors = (
  app: FastifyInstance,
  { clock, maxPayloadBytes, onError }: HttpErrorOptions,
): void => {
  app.setErrorHandler<FastifyError>((error, _request, reply) => {
    const known = toKnown(error, maxPayloadBytes);
    if (known.code === 'internal_error') onError(known);
    return sendFailure(reply, toFailure(known, clock.now()));
  });
  app.setNotFoundHandler((request, reply) => {
    const error = new NotFoundError(`There is nothing at ${request.method} ${request.url.split('?')[0]}. See /docs.`);
    return sendFailure(reply, toFailure(error, clock.now()));
  });
};

const toKnown = (error: FastifyError, maxPayloadBytes: number): LLMError => {
  if (hasZodFastifySchemaValidationErrors(error)) return toInvalid(error.validation, error.validationContext);
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new PayloadTooLargeError(`The body is larger than ${maxPayloadBytes} bytes (MAX_PAYLOAD_BYTES).`);
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
      return new InvalidRequestError('Send a JSON body with Content-Type: application/json.');
    case 'FST_ERR_CTP_INVALID_JSON_BODY':
      return new InvalidRequestError('The body is not valid JSON.');
  }
  const isClients = error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500;
  if (isClients && !('retryable' in error))
    return new InvalidRequestError('The request could not be read.', { cause: error });
  return error.statusCode === 503 ? new InternalError('The service is stopping.', { cause: error }) : toLLMError(error);
};

type ValidationIssue = NonNullable<FastifyError['validation']>[number];

const toInvalid = (issues: readonly ValidationIssue[], where: string | undefined): InvalidRequestError =>
  new InvalidRequestError(issues.map((issue) => describe(issue, where)).join('; ') + '.');

const describe = ({ keyword, instancePath, params, message }: ValidationIssue, where = 'body'): string => {
  const path = [where, ...instancePath.split('/').filter(Boolean)].join('.');
  const keys = keyword === 'unrecognized_keys' ? params['keys'] : undefined;
  return Array.isArray(keys)
    ? `${path}: unknown field ${keys.map((key) => JSON.stringify(key)).join(', ')}`
    : `${path}: ${message ?? 'wrong'}`;
};
