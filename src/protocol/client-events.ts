import { z } from 'zod';
import {
  ConversationId,
  Digest,
  GenerationOptions,
  MessageId,
  requestFields,
  RequestId,
  Seq,
  StreamMode,
} from './fields.ts';

/** What a client sends over the socket: one JSON object a frame, `{"event": name, "data": {…}}`. */

export const LLMRequest = z
  .strictObject({
    conversation_id: ConversationId,
    message: z
      .string()
      .min(1)
      .describe('What is asked. Only with continue or regenerate there is none.')
      .meta({ examples: ['Hello!'] })
      .optional(),
    ...requestFields,
    options: GenerationOptions.prefault({}).describe('How the model chooses its words.'),
    stream: StreamMode.default('delta'),
  })
  .meta({
    id: 'LLMRequest',
    oneOf: [{ required: ['message'] }, { required: ['continue'] }, { required: ['regenerate'] }],
    examples: [
      { conversation_id: 'demo', message: 'Hello!' },
      {
        conversation_id: 'demo',
        message: 'Tell me a story.',
        request_id: 'a-story',
        options: { max_tokens: 200, temperature: 1 },
        stream: 'cumulative',
        if_busy: 'interrupt',
      },
      { conversation_id: 'demo', continue: 'msg_demo', options: { max_tokens: 500 } },
      { conversation_id: 'demo', regenerate: 'msg_demo', options: { temperature: 1 } },
      { conversation_id: 'demo', edit: 'msg_question', message: 'Hello, in French!' },
    ],
  });
export type LLMRequest = z.infer<typeof LLMRequest>;

export const LLMCancel = z
  .union([
    z.strictObject({ message_id: MessageId }),
    z.strictObject({ conversation_id: ConversationId, request_id: RequestId }),
  ])
  .meta({
    id: 'LLMCancel',
    description: 'A reply by its own id or by its request’s, which works right behind the request.',
    examples: [{ message_id: 'msg_demo' }, { conversation_id: 'demo', request_id: 'a-story' }],
  });
export type LLMCancel = z.infer<typeof LLMCancel>;

export const LLMResume = z
  .strictObject({
    message_id: MessageId,
    seq: Seq.describe('The last event seen; 0 is from the start.'),
    at: z.int().min(0).optional().describe('The length of the content seen, in UTF-16 units.'),
    digest: Digest.optional().describe('Of the content seen.'),
    stream: StreamMode.default('delta'),
  })
  .meta({
    id: 'LLMResume',
    description: 'With at and digest the service checks that the client has what is stored, and rewinds it when not.',
    examples: [
      { message_id: 'msg_demo', seq: 0 },
      { message_id: 'msg_demo', seq: 3, at: 22, digest: 'dc8f10c2' },
    ],
  });
export type LLMResume = z.infer<typeof LLMResume>;

export const Ping = z
  .unknown()
  .meta({ id: 'Ping', description: 'Anything, or nothing; pong says the same.', examples: [1] });

/** The events by their names. */
export const clientEvents = {
  llm_request: LLMRequest,
  llm_cancel: LLMCancel,
  llm_resume: LLMResume,
  ping: Ping,
} as const;
export type ClientEventName = keyof typeof clientEvents;

export const ClientFrame = z.strictObject({ event: z.string(), data: z.unknown().optional() });
