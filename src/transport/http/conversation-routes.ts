import { z } from 'zod';
import { ConversationId } from '../../protocol/fields.ts';
import {
  Conversation,
  ConversationList,
  ConversationListQuery,
  ConversationPatch,
  CreateConversationBody,
  Deleted,
  MessagePage,
  MessagePageQuery,
  NewConversation,
} from '../../protocol/rest.ts';
import { refuseUnsupported } from '../request-parser.ts';
import { sendFailure } from './http-errors.ts';
import { answer, failures, type RouteParts, type Routes } from './routes.ts';
import { fromPatch, toConversation, toMessage } from './views.ts';

const Params = z.object({ conversation_id: ConversationId });
const tags = ['conversations'];

/** `/conversations`: create, read, read page by page, delete. */
export const registerConversationRoutes = (app: Routes, { chat, toAsker, newId }: RouteParts): void => {
  app.post(
    '/conversations',
    {
      preValidation: async (request) => refuseUnsupported(request.body),
      schema: {
        operationId: 'createConversation',
        summary: 'Create a conversation',
        description:
          'Not needed before the first request, which creates its conversation; useful to set a system prompt.',
        tags,
        body: CreateConversationBody,
        response: { 201: answer('It exists now.', NewConversation), ...failures },
      },
    },
    async (request, reply) => {
      const { conversation_id, system_prompt, metadata, model } = request.body;
      const made = await chat.createConversation(conversation_id ?? newId(), system_prompt, {
        owner: toAsker(request).owner,
        ...(metadata !== undefined && { metadata }),
        ...(model !== undefined && { model }),
      });
      if (!made.success) return sendFailure(reply, made);
      return reply.code(201).send({ ...toConversation(made), messages: [] });
    },
  );

  app.get(
    '/conversations',
    {
      schema: {
        operationId: 'listConversations',
        summary: 'List the conversations',
        description: 'The one used last first; a page costs the same however many there are.',
        tags,
        querystring: ConversationListQuery,
        response: { 200: answer('A page of them.', ConversationList), ...failures },
      },
    },
    async (request, reply) => {
      const { cursor, limit } = request.query;
      const { owner } = toAsker(request);
      const page = await chat.listConversations({ owner, limit, ...(cursor !== undefined && { cursor }) });
      if (!page.success) return sendFailure(reply, page);
      const conversations = page.conversations.map((each) => withoutFlag(toConversation(each)));
      return { success: true as const, conversations, next_cursor: page.nextCursor ?? null };
    },
  );

  app.patch(
    '/conversations/:conversation_id',
    {
      schema: {
        operationId: 'updateConversation',
        summary: 'Change a conversation',
        description: 'Its title, the system prompt of the turns to come, or its metadata.',
        tags,
        params: Params,
        body: ConversationPatch,
        response: { 200: answer('As it is now.', Conversation), ...failures },
      },
    },
    async (request, reply) => {
      const { conversation_id } = request.params;
      const changed = await chat.updateConversation(conversation_id, fromPatch(request.body), toAsker(request));
      return changed.success ? toConversation(changed) : sendFailure(reply, changed);
    },
  );

  app.get(
    '/conversations/:conversation_id',
    {
      schema: {
        operationId: 'getConversation',
        summary: 'Read a conversation',
        description: 'Without its messages; with the reply that runs in it.',
        tags,
        params: Params,
        response: { 200: answer('The conversation.', Conversation), ...failures },
      },
    },
    async (request, reply) => {
      const found = await chat.getConversation(request.params.conversation_id, { owner: toAsker(request).owner });
      return found.success ? toConversation(found) : sendFailure(reply, found);
    },
  );

  app.get(
    '/conversations/:conversation_id/messages',
    {
      schema: {
        operationId: 'listMessages',
        summary: 'Read its messages, the newest page first',
        description: '`before` asks for older ones; within a page the oldest comes first.',
        tags,
        params: Params,
        querystring: MessagePageQuery,
        response: { 200: answer('A page of messages.', MessagePage), ...failures },
      },
    },
    async (request, reply) => {
      const { conversation_id } = request.params;
      const { before, limit } = request.query;
      const range = { limit, ...(before !== undefined && { before }) };
      const page = await chat.listMessages(conversation_id, { owner: toAsker(request).owner, ...range });
      if (!page.success) return sendFailure(reply, page);
      const messages = page.messages.map(toMessage);
      return { success: true as const, conversation_id, messages, next_before: page.nextBefore ?? null };
    },
  );

  app.delete(
    '/conversations/:conversation_id',
    {
      schema: {
        operationId: 'deleteConversation',
        summary: 'Delete a conversation',
        description: 'With all that belongs to it; a reply that runs in it is cancelled first.',
        tags,
        params: Params,
        response: { 200: answer('It is gone.', Deleted), ...failures },
      },
    },
    async (request, reply) => {
      const deleted = await chat.deleteConversation(request.params.conversation_id, toAsker(request));
      if (!deleted.success) return sendFailure(reply, deleted);
      return { success: true as const, conversation_id: deleted.conversationId };
    },
  );
};

/** In a list the flag is the list's. */
const withoutFlag = ({ success: _success, ...conversation }: Conversation): Omit<Conversation, 'success'> =>
  conversation;
