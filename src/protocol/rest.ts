import { z } from 'zod';
import {
  ConversationId,
  FinishReason,
  generationOptions,
  MessageId,
  Metadata,
  requestFields,
  RequestId,
  Seq,
  StreamMode,
  Timestamp,
  Timings,
  Usage,
} from './fields.ts';
import { LLMErrorData } from './errors.ts';
import { LLMContext, LLMDelta, LLMResponse } from './server-events.ts';

/** Bodies, parameters and answers of the HTTP wire. Every answer has `success`. */

const ok = z.literal(true);

export const GenerateResponseBody = z
  .strictObject({
    conversation_id: ConversationId,
    user_input: z
      .string()
      .min(1)
      .describe('What is asked.')
      .meta({ examples: ['Hello!'] }),
    ...generationOptions,
    ...requestFields,
    stream: z
      .union([z.boolean(), StreamMode])
      .default(false)
      .describe('true, "delta" or "cumulative": answer as server-sent events.'),
    background: z.boolean().default(false).describe('Answer at once with the message_id.'),
  })
  .meta({ id: 'GenerateResponseRequest', examples: [{ conversation_id: 'first-steps', user_input: 'Hello!' }] });
export type GenerateResponseBody = z.infer<typeof GenerateResponseBody>;

export const GenerateResponseAnswer = LLMResponse.meta({ id: 'GenerateResponseAnswer' });

export const BackgroundAnswer = z
  .object({
    success: ok,
    conversation_id: ConversationId,
    message_id: MessageId,
    request_id: RequestId,
    duplicate: z.boolean(),
  })
  .meta({ id: 'BackgroundAnswer' });

export const CreateConversationBody = z
  .strictObject({
    conversation_id: ConversationId.optional().describe('Absent, the service makes one.').meta({ examples: [] }),
    system_prompt: z.string().min(1).optional(),
    metadata: Metadata.optional(),
    model: z.string().min(1).max(200).optional().describe('Asked for when a request names none.'),
  })
  .meta({ id: 'CreateConversationRequest', examples: [{ system_prompt: 'You answer in one sentence.' }] });
export type CreateConversationBody = z.infer<typeof CreateConversationBody>;

export const Conversation = z
  .object({
    success: ok,
    conversation_id: ConversationId,
    system_prompt: z.string().optional(),
    metadata: Metadata.optional(),
    model: z.string().optional(),
    created_at: Timestamp,
    updated_at: Timestamp,
    message_count: z.int(),
    active_reply: MessageId.nullable().describe('The reply that runs; null when none does.'),
  })
  .meta({ id: 'Conversation' });
export type Conversation = z.infer<typeof Conversation>;

export const Message = z
  .object({
    message_id: MessageId,
    role: z.enum(['user', 'assistant']),
    content: z.string(),
    created_at: Timestamp,
    position: z.int().describe('1, 2, 3 … within the conversation.'),
    images: z.array(z.string()).optional(),
    metadata: Metadata.optional(),
    thinking: z.string().optional(),
    request_id: RequestId.optional(),
    model: z.string().optional(),
    state: z.enum(['done', 'failed', 'cancelled']).optional(),
    finish_reason: FinishReason.optional(),
    error: z.object({ code: LLMErrorData.shape.code, error: z.string() }).optional(),
    usage: Usage.optional(),
    timings: Timings.optional(),
  })
  .meta({ id: 'Message' });
export type Message = z.infer<typeof Message>;

export const NewConversation = Conversation.extend({ messages: z.array(Message) }).meta({ id: 'NewConversation' });

export const MessagePageQuery = z.strictObject({
  before: z.coerce.number().int().min(1).optional().describe('Only messages at positions below it.'),
  limit: z.coerce.number().int().min(1).max(200).default(50),
});

export const MessagePage = z
  .object({
    success: ok,
    conversation_id: ConversationId,
    messages: z.array(Message).describe('Oldest first.'),
    next_before: z.int().nullable().describe('Asks for the page before; null when there is none.'),
  })
  .meta({ id: 'MessagePage' });

export const Deleted = z.object({ success: ok, conversation_id: ConversationId }).meta({ id: 'DeletedConversation' });

export const ReplyState = z.enum(['running', 'done', 'failed', 'cancelled']);

export const Reply = z
  .object({
    success: ok,
    message_id: MessageId,
    conversation_id: ConversationId,
    request_id: RequestId,
    state: ReplyState,
    model: z.string(),
    seq: Seq.describe('The last event that the text covers.'),
    response: z.string().describe('The text so far.'),
    thinking: z.string().optional(),
    finish_reason: FinishReason.optional(),
    error: LLMErrorData.optional(),
    usage: Usage.optional(),
    timings: Timings.optional(),
    created_at: Timestamp,
    ended_at: Timestamp.optional(),
    metadata: Metadata.optional(),
  })
  .meta({ id: 'Reply' });
export type Reply = z.infer<typeof Reply>;

export const EventsQuery = z.strictObject({
  after: z.coerce.number().int().min(0).default(0).describe('The last event seen; 0 is from the start.'),
  limit: z.coerce.number().int().min(1).max(1000).default(200),
});

export const ReplyEvent = z
  .discriminatedUnion('event', [
    z.object({ event: z.literal('llm_context'), data: LLMContext }),
    z.object({ event: z.literal('llm_delta'), data: LLMDelta }),
    z.object({ event: z.literal('llm_response'), data: LLMResponse }),
    z.object({ event: z.literal('llm_error'), data: LLMErrorData }),
  ])
  .meta({ id: 'ReplyEvent' });

export const EventPage = z
  .object({
    success: ok,
    message_id: MessageId,
    events: z.array(ReplyEvent),
    next_after: Seq.describe('Asks for what comes after this page.'),
  })
  .meta({ id: 'EventPage' });

export const Cancelled = z
  .object({
    success: ok,
    message_id: MessageId,
    conversation_id: ConversationId,
    state: ReplyState.describe('"cancelled", or how the reply had ended before.'),
  })
  .meta({ id: 'CancelledReply' });

export const Model = z
  .object({
    name: z.string(),
    provider: z.string(),
    host: z.string().optional(),
    loaded: z.boolean(),
    context_window: z.int().describe('Tokens of prompt and answer together, as used here.'),
    capabilities: z.array(z.enum(['completion', 'tools', 'thinking', 'vision'])),
  })
  .meta({ id: 'Model' });

export const Models = z.object({ success: ok, models: z.array(Model) }).meta({ id: 'Models' });

export const Health = z
  .object({
    success: z.boolean(),
    status: z.enum(['ok', 'degraded', 'unavailable']),
    store: z.object({ status: z.enum(['up', 'down']) }),
    backend: z.object({
      provider: z.string(),
      status: z.enum(['up', 'down']),
      host: z.string().optional(),
      version: z.string().optional(),
      hint: z.string().optional().describe('What to do about it.'),
    }),
    fallback: z.string().optional().describe('Who answers until the backend does for the first time.'),
    running: z.int().describe('Replies that this instance writes now.'),
    draining: z.boolean(),
  })
  .meta({ id: 'Health' });

export const Alive = z.object({ success: z.boolean() }).meta({ id: 'Alive' });
