import type { FastifyReply } from 'fastify';
import type { Clock } from '../../clock.ts';
import type { Deadlines } from '../../deadlines.ts';
import { toLLMError, type LLMError } from '../../errors.ts';
import type { LLMChatService } from '../../chat/llm-chat-service.ts';
import { toFailure } from '../../chat/results.ts';
import type { StreamMode } from '../../protocol/fields.ts';
import type { ReplyRecord } from '../../stores/chat-store.ts';
import { encodeFrame, ReplyFrames, toAcceptedData, toErrorData, type EncodedFrame } from '../reply-frames.ts';
import { EventStream } from './event-stream.ts';

export interface ReplyStreamParts {
  readonly chat: LLMChatService;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly onError: (error: LLMError) => void;
}

export interface ReplyStreamInput {
  readonly record: ReplyRecord;
  readonly mode: StreamMode;
  /** The last event that the client has; 0 is none. */
  readonly after: number;
  /** There when the request began the reply, or found it. */
  readonly accepted?: { readonly duplicate: boolean };
}

/** Answers with a reply's events, from `after` on, until its end. */
export const streamReply = async (
  reply: FastifyReply,
  parts: ReplyStreamParts,
  input: ReplyStreamInput,
): Promise<void> => {
  const stream = new EventStream(reply, parts.deadlines);
  try {
    await stream.send(input.record.messageId, toFrames(parts, input, stream.signal));
  } catch (error) {
    parts.onError(toLLMError(error));
  }
};

async function* toFrames(
  { chat, clock }: ReplyStreamParts,
  { record, mode, after, accepted }: ReplyStreamInput,
  signal: AbortSignal,
): AsyncGenerator<Iterable<EncodedFrame>, void> {
  if (accepted) yield [encodeFrame({ event: 'llm_accepted', data: toAcceptedData({ reply: record, ...accepted }) })];
  const frames = new ReplyFrames({ reply: record, mode, position: { seq: after }, now: () => clock.now() });
  try {
    for await (const update of chat.watch(record, frames.from, signal)) yield frames.encode(update);
  } catch (error) {
    const { messageId, conversationId, requestId } = record;
    const failure = toFailure(toLLMError(error), clock.now(), { messageId, conversationId, requestId });
    yield [encodeFrame({ event: 'llm_error', data: toErrorData(failure) })];
    throw error;
  }
}
