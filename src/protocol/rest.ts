import { z } from 'zod';
import {
  Continues,
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
      .describe('What is asked. Only with continue or regenerate there is none.')
      .meta({ examples: ['Hello!'] })
      .optional(),
    ...generationOptions,
    ...requestFields,
    stream: z
      .union([z.boolean(), StreamMode])
      .default(false)
      .describe('true, "delta" or "cumulative": answer with server-sent events.'),
    background: z.boolean().default(false).describe('Answer at once, with the message_id; the reply goes on.'),
  })
  .meta({
    id: 'GenerateResponseRequest',
    description: 'A question, and how it is to be answered.',
    examples: [
      { conversation_id: 'first-steps', user_input: 'Hello!' },
      { conversation_id: 'demo', regenerate: 'msg_demo', temperature: 1 },
      { conversation_id: 'demo', edit: 'msg_question', user_input: 'Hello, in French!' },
    ],
  });
export type GenerateResponseBody = z.infer<typeof GenerateResponseBody>;

export const BackgroundAnswer = z
  .object({
    success: ok,
    conversation_id: ConversationId,
    message_id: MessageId,
    request_id: RequestId,
    continues: Continues,
    duplicate: z.boolean().describe('The same request had begun this reply before.'),
  })
  .meta({ id: 'BackgroundAnswer', description: 'The reply has begun: read it under /replies.' });

export const CreateConversationBody = z
  .strictObject({
    conversation_id: ConversationId.optional().describe('Absent, the service makes one.').meta({ examples: [] }),
    system_prompt: z.string().min(1).optional().describe('What the model is told before all else.'),
    metadata: Metadata.optional().describe('The caller’s own data, kept with the conversation.'),
    model: z.string().min(1).max(200).optional().describe('Asked for when a request names none.'),
  })
  .meta({
    id: 'CreateConversationRequest',
    description: 'What the conversation begins with.',
    examples: [{ system_prompt: 'You answer in one sentence.' }],
  });
export type CreateConversationBody = z.infer<typeof CreateConversationBody>;

export const Conversation = z
  .object({
    success: ok,
    conversation_id: ConversationId,
    title: z.string().optional(),
    system_prompt: z.string().nullable().describe('null: the service’s own is used.'),
    metadata: Metadata.optional(),
    model: z.string().optional().describe('Asked for when a request names none; absent, the service’s own.'),
    created_at: Timestamp,
    updated_at: Timestamp,
    message_count: z.int().min(0),
    active_reply: MessageId.nullable().describe('The reply that runs; null when none does.'),
    summary: z
      .object({
        text: z.string(),
        position: z.int().min(1).describe('Of the last message that it sums up.'),
        model: z.string().describe('Which model has made it.'),
        created_at: Timestamp,
      })
      .nullable()
      .describe(
        'What the model is told of the turns that it is not sent any more; null when nothing is (LLM_SUMMARIZE).',
      ),
  })
  .meta({ id: 'Conversation', description: 'A conversation without its messages.' });
export type Conversation = z.infer<typeof Conversation>;

export const ConversationListQuery = z.strictObject({
  cursor: z.string().min(1).max(500).optional().describe('next_cursor of the page before; absent is the first.'),
  limit: z.coerce.number().int().min(1).max(200).default(50).describe('At most so many conversations.'),
});

export const ConversationList = z
  .object({
    success: ok,
    conversations: z.array(Conversation.omit({ success: true })).describe('The one used last first.'),
    next_cursor: z.string().nullable().describe('Asks for the page after; null when there is none.'),
  })
  .meta({ id: 'ConversationList', description: 'A page of the caller’s conversations.' });

export const ConversationPatch = z
  .strictObject({
    title: z.string().min(1).max(200).nullable().optional(),
    system_prompt: z.string().min(1).nullable().optional().describe('Of the turns to come.'),
    metadata: Metadata.nullable().optional(),
  })
  .meta({
    id: 'ConversationPatch',
    description: 'What is to change; what is absent stays, null takes away.',
    examples: [{ title: 'First steps' }],
  });
export type ConversationPatch = z.infer<typeof ConversationPatch>;

export const Message = z
  .object({
    message_id: MessageId.describe('Of an assistant’s message: the id of the reply.'),
    role: z.enum(['user', 'assistant']),
    content: z.string(),
    created_at: Timestamp,
    position: z.int().describe('1, 2, 3 … within the conversation.'),
    active: z
      .boolean()
      .describe(
        'false: an edit or another answer has taken its place; kept and shown, not sent to the model any more.',
      ),
    edit_of: MessageId.optional().describe('The user’s message that it takes the place of.'),
    variant_of: MessageId.optional().describe('The reply that it takes the place of.'),
    images: z.array(z.string()).optional().describe('Base64.'),
    metadata: Metadata.optional(),
    thinking: z.string().optional().describe('What the model thought before it spoke.'),
    request_id: RequestId.optional(),
    model: z.string().optional().describe('Which model answered.'),
    state: z.enum(['done', 'failed', 'cancelled']).optional().describe('How the reply ended.'),
    finish_reason: FinishReason.optional(),
    error: z.object({ code: LLMErrorData.shape.code, error: z.string() }).optional(),
    usage: Usage.optional(),
    timings: Timings.optional(),
  })
  .meta({ id: 'Message', description: 'What a person said, or a reply: from thinking on, the fields are a reply’s.' });
export type Message = z.infer<typeof Message>;

export const NewConversation = Conversation.extend({ messages: z.array(Message) }).meta({
  id: 'NewConversation',
  description: 'A conversation that was just made.',
});

export const MessagePageQuery = z.strictObject({
  before: z.coerce.number().int().min(1).optional().describe('Only messages at positions below it.'),
  limit: z.coerce.number().int().min(1).max(200).default(50).describe('At most so many messages.'),
});

export const MessagePage = z
  .object({
    success: ok,
    conversation_id: ConversationId,
    messages: z.array(Message).describe('Oldest first.'),
    next_before: z.int().nullable().describe('Asks for the page before; null when there is none.'),
  })
  .meta({ id: 'MessagePage', description: 'Neighbouring messages of a conversation.' });

export const Deleted = z
  .object({ success: ok, conversation_id: ConversationId })
  .meta({ id: 'DeletedConversation', description: 'Which conversation is gone.' });

export const ReplyState = z.enum(['running', 'done', 'failed', 'cancelled']);

export const Reply = z
  .object({
    success: ok,
    message_id: MessageId,
    conversation_id: ConversationId,
    request_id: RequestId,
    continues: Continues,
    state: ReplyState,
    model: z.string(),
    seq: Seq.describe('The last event that the text covers.'),
    response: z.string().describe('The text so far.'),
    thinking: z.string().optional().describe('What the model thought, so far.'),
    finish_reason: FinishReason.optional(),
    error: LLMErrorData.optional().describe('Why it failed, when it did.'),
    usage: Usage.optional(),
    timings: Timings.optional(),
    created_at: Timestamp,
    ended_at: Timestamp.optional(),
    metadata: Metadata.optional(),
  })
  .meta({ id: 'Reply', description: 'A reply while it runs, or after.' });
export type Reply = z.infer<typeof Reply>;

export const EventsQuery = z.strictObject({
  after: z.coerce.number().int().min(0).default(0).describe('The last event seen; 0 is from the start.'),
  limit: z.coerce.number().int().min(1).max(1000).default(200).describe('Of a page: at most so many events.'),
});

export const ReplyEvent = z
  .discriminatedUnion('event', [
    z.object({ event: z.literal('llm_context'), data: LLMContext }),
    z.object({ event: z.literal('llm_delta'), data: LLMDelta }),
    z.object({ event: z.literal('llm_response'), data: LLMResponse }),
    z.object({ event: z.literal('llm_error'), data: LLMErrorData }),
  ])
  .meta({ id: 'ReplyEvent', description: 'A numbered event, as the socket and the event streams tell it.' });

export const EventPage = z
  .object({
    success: ok,
    message_id: MessageId,
    events: z.array(ReplyEvent).describe('Oldest first.'),
    next_after: Seq.describe('Asks, as after, for what follows this page.'),
  })
  .meta({ id: 'EventPage', description: 'Neighbouring events of a reply.' });

export const Cancelled = z
  .object({
    success: ok,
    message_id: MessageId,
    conversation_id: ConversationId,
    state: ReplyState.describe('"cancelled", or how the reply had ended before.'),
  })
  .meta({ id: 'CancelledReply', description: 'How the reply has ended.' });
