import type {
  FastifyBaseLogger,
  FastifyInstance,
  FastifyRequest,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { z } from 'zod';
import { LLMErrorData } from '../../protocol/errors.ts';
import type { Asker } from '../door.ts';
import type { ReplyStreamParts } from './reply-stream.ts';

/** What the routes are built from. */
export interface RouteParts extends ReplyStreamParts {
  /** Who is asking. */
  readonly toAsker: (request: FastifyRequest) => Asker;
  readonly newId: () => string;
  readonly isProduction: boolean;
  readonly metrics: MetricsPage;
}

/** Figures as text, when somebody asks for them. */
export interface MetricsPage {
  readonly contentType: string;
  collect(): Promise<string>;
}

/** An app whose routes take their types from zod. */
export type Routes = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  ZodTypeProvider
>;

/** An answer in JSON, as the documents describe it. */
export const answer = <Schema extends z.ZodType>(description: string, schema: Schema) =>
  ({ description, content: { 'application/json': { schema } } }) as const;

/** Every route may fail in these ways; the body is the same for all. */
export const failures = {
  '4xx': answer('Refused: the code says why.', LLMErrorData),
  '5xx': answer('Failed: the code says why, and retryable whether asking again may help.', LLMErrorData),
} as const;

export const wantsEventStream = (request: FastifyRequest): boolean =>
  request.headers.accept?.toLowerCase().includes('text/event-stream') ?? false;

/** The header as one string; undefined when it is not there, or empty. */
export const headerOf = (request: FastifyRequest, name: string): string | undefined => {
  const value = request.headers[name];
  return (Array.isArray(value) ? value.join(',') : value) || undefined;
};
