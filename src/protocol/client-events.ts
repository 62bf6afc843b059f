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
      .describe('What is asked.')
      .meta({ examples: ['Hello!'] }),
    ...requestFields,
    options: GenerationOptions.prefault({}),
    stream: StreamMode.default('delta'),
  })
  .meta({ id: 'LLMRequest' });
export type LLMRequest = z.infer<typeof LLMRequest>;

export const LLMCancel = z
  .union([
    z.strictObject({ message_id: MessageId }),
    z.strictObject({ conversation_id: ConversationId, request_id: RequestId }),
  ])
  .meta({ id: 'LLMCancel' });
export type LLMCancel = z.infer<typeof LLMCancel>;

export const LLMResume = z
  .strictObject({
    message_id: MessageId,
    seq: Seq.describe('The last event seen; 0 is from the start.'),
    at: z.int().min(0).optional().describe('The length of the content seen, in UTF-16 units.'),
    digest: Digest.optional().describe('Of the content seen.'),
    stream: StreamMode.default('delta'),
  })
  .meta({ id: 'LLMResume' });
export type LLMResume = z.infer<typeof LLMResume>;

export const Ping = z.unknown().meta({ id: 'Ping', description: 'Anything; pong says the same.' });

/** The events by their names. */
export const clientEvents = {
  llm_request: LLMRequest,
  llm_cancel: LLMCancel,
  llm_resume: LLMResume,
  ping: Ping,
} as const;
export type ClientEventName = keyof typeof clientEvents;

export const ClientFrame = z.strictObject({ event: z.string(), data: z.unknown().optional() });
