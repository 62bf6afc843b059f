import { z } from 'zod';
import { LLMErrorData } from './errors.ts';
import {
  Channel,
  Continues,
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
    continues: Continues,
    duplicate: z.boolean().describe('The same request had begun this reply before.'),
  })
  .meta({
    id: 'LLMAccepted',
    examples: [{ conversation_id: 'demo', message_id: 'msg_demo', request_id: 'a-story', duplicate: false }],
  });
export type LLMAccepted = z.infer<typeof LLMAccepted>;

const statusOf = <State extends string, Fields extends z.ZodRawShape>(state: State, fields: Fields) =>
  z.object({ message_id: MessageId, state: z.literal(state), ...fields });

export const LLMStatus = z
  .discriminatedUnion('state', [
    statusOf('queued', {
      position: z.int().min(1).describe('1 is the next. It never rises.'),
      expected_ms: z.number().optional().describe('Until its turn comes, by what was measured.'),
    }).describe('The model’s turn for it has not come.'),
    statusOf('model_loading', {
      elapsed_ms: z.number(),
      completed_bytes: z.int().min(0).optional().describe('Of a model that is being downloaded first.'),
      total_bytes: z.int().min(0).optional().describe('Of the parts that are known so far: it may rise.'),
    }).describe('The model is being loaded into memory, or is downloaded first (LLM_AUTO_PULL).'),
    statusOf('generating', {}).describe('The model is at work.'),
    statusOf('retrying', { attempt: z.int().min(1) }).describe('The backend failed and is asked again.'),
    statusOf('degraded', {}).describe('The store is away; what is shown is kept.'),
    statusOf('released', { stopped_ms: z.number() }).describe('After a cancel: the host is free again.'),
  ])
  .meta({
    id: 'LLMStatus',
    description: 'What a reply is doing.',
    examples: [{ message_id: 'msg_demo', state: 'model_loading', elapsed_ms: 1200 }],
  });
export type LLMStatus = z.infer<typeof LLMStatus>;

export const LLMContext = z
  .object({
    message_id: MessageId,
    seq: Seq,
    dropped_turns: z.int().min(0).describe('Turns (a question and its answer) that the model does not see.'),
    kept_turns: z.int().min(0).describe('Earlier turns that it sees.'),
    estimated_tokens: z.int().min(0).describe('Of the prompt.'),
    context_window: z.int().min(0).describe('Tokens of prompt and answer together.'),
  })
  .meta({
    id: 'LLMContext',
    description: 'History was left out of the prompt; it is stored all the same.',
    examples: [
      {
        message_id: 'msg_demo',
        seq: 1,
        dropped_turns: 5,
        kept_turns: 6,
        estimated_tokens: 3100,
        context_window: 8192,
      },
    ],
  });
export type LLMContext = z.infer<typeof LLMContext>;

export const LLMDelta = z
  .object({
    message_id: MessageId,
    seq: Seq,
    at: z.int().min(0).describe('Where in the channel’s text it begins, in UTF-16 units.'),
    text: z.string(),
    channel: Channel,
    response: z.string().optional().describe('With stream "cumulative": the channel’s whole text so far.'),
  })
  .meta({
    id: 'LLMDelta',
    description: 'More text of a channel.',
    examples: [{ message_id: 'msg_demo', seq: 1, at: 0, text: 'Hello! ', channel: 'content' }],
  });
export type LLMDelta = z.infer<typeof LLMDelta>;

export const LLMRewind = z
  .object({
    message_id: MessageId,
    seq: Seq.describe('The last event that the text covers: go on from there.'),
    to_at: z.int().min(0).describe('What comes after this place is withdrawn.'),
    channel: Channel,
    reason: z.enum(['resync']).describe('resync: what the client has is not what is stored.'),
    text: z.string().optional().describe('The channel’s whole text, anew.'),
  })
  .meta({
    id: 'LLMRewind',
    description: 'The channel’s text after to_at is withdrawn; with text it is given anew.',
    examples: [
      {
        message_id: 'msg_demo',
        seq: 2,
        to_at: 0,
        channel: 'content',
        reason: 'resync',
        text: 'Hello! How can I help?',
      },
    ],
  });
export type LLMRewind = z.infer<typeof LLMRewind>;

export const LLMResponse = z
  .object({
    success: z.literal(true),
    conversation_id: ConversationId,
    message_id: MessageId,
    request_id: RequestId,
    continues: Continues,
    seq: Seq,
    response: z.string().describe('The full text.'),
    finish_reason: FinishReason,
    model: z.string().describe('Which model answered.'),
    usage: Usage,
    timings: Timings,
    length: z.int().min(0).describe('Of the text, in UTF-16 units.'),
    digest: Digest,
    created_at: Timestamp.describe('When the reply ended: RFC 3339, UTC, milliseconds.'),
    metadata: Metadata.optional(),
  })
  .meta({
    id: 'LLMResponse',
    description: 'A whole reply.',
    examples: [
      {
        success: true,
        conversation_id: 'demo',
        message_id: 'msg_demo',
        request_id: 'a-story',
        seq: 3,
        response: 'Hello! How can I help?',
        finish_reason: 'stop',
        model: 'llama3',
        usage: { prompt_tokens: 24, completion_tokens: 8, total_tokens: 32, source: 'measured' },
        timings: { queued_ms: 4, load_ms: 0, first_token_ms: 180, total_ms: 420 },
        length: 22,
        digest: 'dc8f10c2',
        created_at: '2026-01-01T12:00:00.000Z',
      },
    ],
  });
export type LLMResponse = z.infer<typeof LLMResponse>;

export const Pong = z
  .unknown()
  .meta({ id: 'Pong', description: 'The data of the ping; null where it had none.', examples: [1] });

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
