import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { InvalidRequestError, NotFoundError } from '../../errors.ts';
import { RequestId, type StreamMode } from '../../protocol/fields.ts';
import { BackgroundAnswer, GenerateResponseBody } from '../../protocol/rest.ts';
import { LLMResponse } from '../../protocol/server-events.ts';
import { toAcceptedData, toResponseData } from '../reply-frames.ts';
import { fromRest, refuseUnsupported } from '../request-parser.ts';
import { nothingToResume, parseEventId } from './event-stream.ts';
import { sendFailure } from './http-errors.ts';
import { streamReply } from './reply-stream.ts';
import { answer, failures, headerOf, wantsEventStream, type RouteParts, type Routes } from './routes.ts';

const GenerateHeaders = z.object({
  'idempotency-key': RequestId.optional().describe('The same as request_id.'),
  'last-event-id': z.string().optional().describe('Resumes a stream behind this event; nothing is begun.'),
});

const DESCRIPTION = `Asks, and answers when the reply has ended; with \`stream\` or \`Accept: text/event-stream\` while it is made,
as server-sent events named like the socket’s; with \`background\` at once, with the reply’s id. A conversation that
does not exist is created. With \`continue\`, \`regenerate\` or \`edit\` it asks again. Leaving stops nothing: the reply goes on, and the same \`request_id\` attaches to it.`;

/** `POST /generate_response`. */
export const registerGenerateRoutes = (app: Routes, parts: RouteParts): void => {
  app.post(
    '/generate_response',
    {
      preValidation: async (request) => refuseUnsupported(request.body),
      schema: {
        operationId: 'generateResponse',
        summary: 'Ask a question',
        description: DESCRIPTION,
        tags: ['chat'],
        headers: GenerateHeaders,
        body: GenerateResponseBody,
        response: {
          200: answer('The whole reply; where server-sent events were asked for, its events, one by one.', LLMResponse),
          202: answer('With background: the reply has begun.', BackgroundAnswer),
          ...failures,
        },
      },
    },
    async (request, reply) => {
      const lastEventId = headerOf(request, 'last-event-id');
      if (lastEventId === undefined) return generate(request.body, request, reply, parts);
      return resume(request.body, request, reply, { parts, lastEventId });
    },
  );
};

/** What a handler gives back that has sent its answer itself. */
type Answered = Promise<FastifyReply | void>;

const generate = async (
  body: GenerateResponseBody,
  request: FastifyRequest,
  reply: FastifyReply,
  parts: RouteParts,
): Answered => {
  const requestId = toRequestId(body.request_id, headerOf(request, 'idempotency-key'));
  const asked = fromRest(
    { ...body, ...(requestId !== undefined && { request_id: requestId }) },
    parts.toAsker(request),
  );
  const accepted = await parts.chat.request(asked);
  if (!accepted.success) return sendFailure(reply, accepted);
  const { reply: record, duplicate } = accepted;
  if (body.background) return reply.code(202).send({ success: true, ...toAcceptedData(accepted) });
  const mode = toStreamMode(body.stream, wantsEventStream(request));
  if (mode) return streamReply(reply, parts, { record, mode, after: 0, accepted: { duplicate } });
  const result = await parts.chat.awaitReply(record);
  return result.success ? reply.send(toResponseData(result)) : sendFailure(reply, result);
};

/** A client whose stream broke asks again as it did: it gets the rest, and nothing is begun. */
const resume = async (
  { conversation_id, stream }: GenerateResponseBody,
  request: FastifyRequest,
  reply: FastifyReply,
  { parts, lastEventId }: { readonly parts: RouteParts; readonly lastEventId: string },
): Answered => {
  const position = parseEventId(lastEventId);
  if (!position) throw nothingToResume();
  const found = await parts.chat.findReply({ messageId: position.messageId }, { owner: parts.toAsker(request).owner });
  if (!found.success) return sendFailure(reply, found);
  if (found.reply.conversationId !== conversation_id) {
    throw new NotFoundError('Last-Event-ID belongs to another conversation: nothing to resume.');
  }
  const mode = toStreamMode(stream, true) ?? 'delta';
  return streamReply(reply, parts, { record: found.reply, mode, after: position.seq });
};

/** @throws InvalidRequestError when body and header name different ones */
const toRequestId = (inBody: string | undefined, inHeader: string | undefined): string | undefined => {
  if (inBody !== undefined && inHeader !== undefined && inBody !== inHeader) {
    throw new InvalidRequestError('request_id and Idempotency-Key mean the same; give one, or the same in both.');
  }
  return inBody ?? inHeader;
};

/** Undefined is a plain JSON answer. */
const toStreamMode = (stream: boolean | StreamMode, isEventStream: boolean): StreamMode | undefined => {
  if (stream === true) return 'delta';
  if (stream === false) return isEventStream ? 'delta' : undefined;
  return stream === 'none' && !isEventStream ? undefined : stream;
};
