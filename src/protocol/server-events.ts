import { z } from 'zod';
import { LLMErrorData } from './errors.ts';
import {
  Channel,
  ConversationId,
  Digest,
  FinishReason,
  MessageId,
  Metadata,
  RequestId,
  Seq,
  Timestamp,
  Timings,
  Usage,
} from './fields.ts';

/** What the service sends, over the socket and as server-sent events. */

export const LLMAccepted = z
  .object({
    conversation_id: ConversationId,
    message_id: MessageId,
    request_id: RequestId,
    duplicate: z.boolean().describe('The same request had begun this reply before.'),
  })
  .meta({ id: 'LLMAccepted' });
export type LLMAccepted = z.infer<typeof LLMAccepted>;

const statusOf = <State extends string, Fields extends z.ZodRawShape>(state: State, fields: Fields) =>
  z.object({ message_id: MessageId, state: z.literal(state), ...fields });

export const LLMStatus = z
  .discriminatedUnion('state', [
    statusOf('model_loading', { elapsed_ms: z.number() }),
    statusOf('generating', {}),
    statusOf('retrying', { attempt: z.int() }),
    statusOf('degraded', {}).describe('The store is away; what is shown is kept.'),
    statusOf('released', { stopped_ms: z.number() }).describe('After a cancel: the host is free again.'),
  ])
  .meta({ id: 'LLMStatus', description: 'What a reply is doing; unnumbered, at least every 10 s of silence.' });
export type LLMStatus = z.infer<typeof LLMStatus>;

export const LLMContext = z
  .object({
    message_id: MessageId,
    seq: Seq,
    dropped_turns: z.int(),
    kept_turns: z.int(),
    estimated_tokens: z.int(),
    context_window: z.int(),
  })
  .meta({ id: 'LLMContext', description: 'History was left out of the prompt.' });
export type LLMContext = z.infer<typeof LLMContext>;

export const LLMDelta = z
  .object({
    message_id: MessageId,
    seq: Seq,
    at: z.int().describe('Where in the channel’s text it begins, in UTF-16 units.'),
    text: z.string(),
    channel: Channel,
    response: z.string().optional().describe('With stream "cumulative": the channel’s whole text so far.'),
  })
  .meta({ id: 'LLMDelta' });
export type LLMDelta = z.infer<typeof LLMDelta>;

export const LLMRewind = z
  .object({
    message_id: MessageId,
    seq: Seq.describe('The last event that the text covers: go on from there.'),
    to_at: z.int(),
    channel: Channel,
    reason: z.enum(['resync']).describe('resync: what the client has is not what is stored.'),
    text: z.string().optional().describe('The channel’s whole text, anew.'),
  })
  .meta({ id: 'LLMRewind', description: 'What comes after to_at is withdrawn.' });
export type LLMRewind = z.infer<typeof LLMRewind>;

export const LLMResponse = z
  .object({
    success: z.literal(true),
    conversation_id: ConversationId,
    message_id: MessageId,
    request_id: RequestId,
    seq: Seq,
    response: z.string().describe('The full text.'),
    finish_reason: FinishReason,
    model: z.string(),
    usage: Usage,
    timings: Timings,
    length: z.int().describe('Of the text, in UTF-16 units.'),
    digest: Digest,
    created_at: Timestamp,
    metadata: Metadata.optional(),
  })
  .meta({ id: 'LLMResponse' });
export type LLMResponse = z.infer<typeof LLMResponse>;

export const Pong = z.unknown().meta({ id: 'Pong', description: 'The data of the ping.' });

/** The events by their names. */
export const serverEvents = {
  llm_accepted: LLMAccepted,
  llm_status: LLMStatus,
  llm_context: LLMContext,
  llm_delta: LLMDelta,
  llm_rewind: LLMRewind,
  llm_response: LLMResponse,
  llm_error: LLMErrorData,
  pong: Pong,
} as const;

/** A frame by its name. */
export type ServerFrame = {
  [Name in keyof typeof serverEvents]: { readonly event: Name; readonly data: z.infer<(typeof serverEvents)[Name]> };
}[keyof typeof serverEvents];
