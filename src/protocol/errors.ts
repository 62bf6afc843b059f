import { z } from 'zod';
import { ERROR_CODES, type ErrorCode } from '../errors.ts';
import { Continues, ConversationId, MessageId, RequestId, Seq, Timestamp, Usage } from './fields.ts';

/** HTTP's word for each code. */
export const HTTP_STATUS: Readonly<Record<ErrorCode, number>> = {
  invalid_request: 400,
  context_length_exceeded: 400,
  unsupported: 400,
  unauthorized: 401,
  forbidden: 403,
  not_found: 404,
  model_not_found: 404,
  conversation_exists: 409,
  conversation_busy: 409,
  payload_too_large: 413,
  request_conflict: 422,
  rate_limited: 429,
  storage_lost: 500,
  interrupted: 500,
  internal_error: 500,
  backend_error: 502,
  empty_response: 502,
  recovery_exhausted: 502,
  invalid_output: 502,
  queue_full: 503,
  draining: 503,
  storage_unavailable: 503,
  storage_full: 503,
  backend_unavailable: 503,
  backend_timeout: 504,
};

/** What went wrong: the body of an HTTP error, and the data of `llm_error`. */
export const LLMErrorData = z
  .object({
    success: z.literal(false),
    error: z.string().describe('A sentence for people that says what to do.'),
    code: z.enum(ERROR_CODES).describe('For programs.'),
    retryable: z.boolean().describe('Whether the same may succeed when it is asked again.'),
    retry_after_ms: z.int().min(0).optional().describe('After how long it is worth asking again.'),
    limit: z.int().min(0).optional().describe('Of a rate limit: how many there are.'),
    remaining: z.int().min(0).optional().describe('Of a rate limit: how many are left.'),
    conversation_id: ConversationId.optional(),
    message_id: MessageId.optional().describe(
      'The reply, or what was asked for under its id; absent where a request was refused.',
    ),
    active_message_id: MessageId.optional().describe('The reply that keeps the conversation busy.'),
    request_id: RequestId.optional(),
    continues: Continues,
    timestamp: Timestamp,
    response: z.string().optional().describe('The partial text, kept.'),
    usage: Usage.optional().describe('Tokens, as far as they are known.'),
    seq: Seq.optional().describe('There if and only if the error is the stored end of a reply.'),
  })
  .meta({
    id: 'LLMError',
    description: 'What went wrong. With seq it is the end of a reply; without, nothing was begun or stored.',
    examples: [
      {
        success: false,
        error: 'A reply is running in this conversation. Wait for it, cancel it, or ask with if_busy: "interrupt".',
        code: 'conversation_busy',
        retryable: false,
        conversation_id: 'demo',
        active_message_id: 'msg_demo',
        request_id: 'first-question',
        timestamp: '2026-01-01T12:00:00.000Z',
      },
    ],
  });
export type LLMErrorData = z.infer<typeof LLMErrorData>;
