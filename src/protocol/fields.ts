import { z } from 'zod';

/** Fields that several messages share. Names on the wire are snake_case. */

export const ConversationId = z
  .string()
  .min(1)
  .max(200)
  .describe('The client’s own id of a conversation, unique among its owner’s.')
  .meta({ examples: ['demo'] });

export const MessageId = z
  .string()
  .min(1)
  .max(200)
  .describe('The id of a reply, made by the service.')
  .meta({ examples: ['msg_demo'] });

export const Continues = MessageId.optional().describe(
  'There when the reply goes on with another: the message that grows.',
);

export const RequestId = z
  .string()
  .min(1)
  .max(200)
  .describe(
    'The client’s own id of a request. Repeating it attaches to the same reply; absent, the service makes one.',
  );

export const Seq = z.int().min(0).describe('The number of an event within its reply: 1, 2, 3 … without a hole.');

export const Timestamp = z.iso.datetime({ precision: 3 }).describe('RFC 3339, UTC, milliseconds.');

export const Metadata = z.record(z.string(), z.unknown()).describe('The caller’s own data, given back with the reply.');

export const Digest = z
  .string()
  .regex(/^[0-9a-f]{8}$/)
  .describe('CRC-32 of the UTF-8 text, 8 hex digits.');

export const Channel = z.enum(['content', 'thinking']).describe('What is said, or what is thought before.');

export const FinishReason = z
  .enum(['stop', 'length', 'cancelled', 'repetition', 'tool_rounds'])
  .describe(
    'stop: the model was done; length: max_tokens were used up; repetition: the model went round in circles; cancelled.',
  )
  .meta({ enum: ['stop', 'length', 'cancelled', 'repetition'] }); // in the documents: the last one comes with tools

export const Usage = z
  .object({
    prompt_tokens: z.int().min(0),
    completion_tokens: z.int().min(0).describe('What the model thought and said.'),
    total_tokens: z.int().min(0),
    source: z.enum(['measured', 'estimated']).describe('Counted by the backend, or estimated by the service.'),
  })
  .meta({ id: 'Usage', description: 'Tokens of the whole reply.' });
export type Usage = z.infer<typeof Usage>;

export const Timings = z
  .object({
    queued_ms: z.number().describe('Until the model’s turn came.'),
    load_ms: z.number().describe('Waiting for the model to be loaded.'),
    first_token_ms: z.number().optional().describe('From the request to the first token.'),
    total_ms: z.number().describe('Until the end.'),
  })
  .meta({ id: 'Timings', description: 'Milliseconds since the request came.' });
export type Timings = z.infer<typeof Timings>;

/** How the model chooses its words: over REST flat in the body, over the socket in `options`. */
export const generationOptions = {
  max_tokens: z.int().min(1).optional().describe('Tokens of the answer; 500 by default, at most LLM_MAX_TOKENS.'),
  temperature: z.number().min(0).max(2).default(0.7).describe('0 is the most predictable.'),
  top_p: z.number().min(0).max(1).optional().describe('Only words within this share of the probability.'),
  top_k: z.int().min(0).optional().describe('Only so many of the likeliest words.'),
  min_p: z.number().min(0).max(1).optional().describe('Only words so likely, beside the likeliest.'),
  seed: z.int().optional().describe('The same seed and options give the same answer, as far as the model can.'),
  stop: z.array(z.string().min(1)).max(4).optional().describe('Texts at which the model stops.'),
  presence_penalty: z.number().min(-2).max(2).optional().describe('Against words that were there before.'),
  frequency_penalty: z.number().min(-2).max(2).optional().describe('The same, the more often they were.'),
  repeat_penalty: z.number().min(0).max(2).optional().describe('Ollama’s own penalty; 1 is none.'),
};

export const GenerationOptions = z.strictObject(generationOptions);
export type GenerationOptions = z.infer<typeof GenerationOptions>;

/** What is asked again, by the id of a message; at most one of them in a request. */
export const askAgainFields = {
  continue: MessageId.optional().describe(
    'The conversation’s last reply, which was cut short (length, cancelled, failed): the model goes on with it. Without a message.',
  ),
  regenerate: MessageId.optional().describe(
    'A reply: its question is answered again. What came behind the question is kept and not sent any more. Without a message.',
  ),
  edit: MessageId.optional().describe(
    'A user’s message: this request’s message (and its images; the old ones are not taken over) takes its place. What came behind it is kept and not sent any more.',
  ),
};

/** What a request may say beside its text and its options. */
export const requestFields = {
  request_id: RequestId.optional(),
  metadata: Metadata.optional(),
  model: z.string().min(1).max(200).optional().describe('One of those under /models; absent, the service’s own.'),
  system_prompt: z.string().min(1).optional().describe('Only with the first request of a conversation.'),
  think: z
    .union([z.boolean(), z.enum(['low', 'medium', 'high', 'max'])])
    .optional()
    .describe('Whether, or how much, the model thinks aloud before it answers.'),
  format: z
    .union([z.literal('json'), z.record(z.string(), z.unknown())])
    .optional()
    .describe('"json", or a JSON Schema that the answer must meet.'),
  images: z
    .array(z.base64().min(1))
    .max(16)
    .optional()
    .describe('Base64, without a data: prefix. Raise MAX_PAYLOAD_BYTES for them.'),
  ...askAgainFields,
  if_busy: z
    .enum(['reject', 'interrupt'])
    .default('reject')
    .describe('When a reply is running in the conversation: refuse this request, or end that reply.'),
};

export const StreamMode = z
  .enum(['delta', 'cumulative', 'none'])
  .describe(
    'delta: text in pieces; cumulative: each with the whole text so far; none: no text before the end, which has it all.',
  );
export type StreamMode = z.infer<typeof StreamMode>;
