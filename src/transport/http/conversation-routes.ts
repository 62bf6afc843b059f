import { z } from 'zod';
import { ConversationId } from '../../protocol/fields.ts';
import {
  Conversation,
  CreateConversationBody,
  Deleted,
  MessagePage,
  MessagePageQuery,
  NewConversation,
} from '../../protocol/rest.ts';
import { refuseUnsupported } from '../request-parser.ts';
import { sendFailure } from './http-errors.ts';
import { failures, type RouteParts, type Routes } from './routes.ts';
import { toConversation, toMessage } from './views.ts';

const Params = z.object({ conversation_id: ConversationId });
const tags = ['conversations'];

/** `/conversations`: create, read, read page by page, delete. */
export const registerConversationRoutes = (app: Routes, { chat, toOwner, newId }: RouteParts): void => {
  app.post(
    '/conversations',
    {
      preValidation: async (request) => refuseUnsupported(request.body),
      schema: {
        summary: 'Create a conversation',
        description:
          'Not needed before the first request, which creates its conversation; useful to set a system prompt.',
        tags,
        body: CreateConversationBody,
        response: { 201: NewConversation, ...failures },
      },
    },
    async (request, reply) => {
      const { conversation_id, system_prompt, metadata, model } = request.body;
      const answer = await chat.createConversation(conversation_id ?? newId(), system_prompt, {
        owner: toOwner(request),
        ...(metadata !== undefined && { metadata }),
        ...(model !== undefined && { model }),
      });
      if (!answer.success) return sendFailure(reply, answer);
      return reply.code(201).send({ ...toConversation(answer), messages: [] });
    },
  );

  app.get(
    '/conversations/:conversation_id',
    { schema: { summary: 'Read a conversation', tags, params: Params, response: { 200: Conversation, ...failures } } },
    async (request, reply) => {
      const answer = await chat.getConversation(request.params.conversation_id, { owner: toOwner(request) });
      return answer.success ? toConversation(answer) : sendFailure(reply, answer);
    },
  );

  app.get(
    '/conversations/:conversation_id/messages',
    {
      schema: {
        summary: 'Read its messages, the newest page first',
        tags,
        params: Params,
        querystring: MessagePageQuery,
        response: { 200: MessagePage, ...failures },
      },
    },
    async (request, reply) => {
      const { conversation_id } = request.params;
      const { before, limit } = request.query;
      const range = { limit, ...(before !== undefined && { before }) };
      const answer = await chat.listMessages(conversation_id, { owner: toOwner(request), ...range });
      if (!answer.success) return sendFailure(reply, answer);
      const messages = answer.messages.map(toMessage);
      return { success: true as const, conversation_id, messages, next_before: answer.nextBefore ?? null };
    },
  );

  app.delete(
    '/conversations/:conversation_id',
    {
      schema: {
        summary: 'Delete a conversation',
        description: 'With all that belongs to it; a reply that runs in it is cancelled first.',
        tags,
        params: Params,
        response: { 200: Deleted, ...failures },
      },
    },
    async (request, reply) => {
      const answer = await chat.deleteConversation(request.params.conversation_id, { owner: toOwner(request) });
      return answer.success
        ? { success: true as const, conversation_id: answer.conversationId }
        : sendFailure(reply, answer);
    },
  );
};
