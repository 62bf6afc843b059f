import { z } from 'zod';
import { MessageId } from '../../protocol/fields.ts';
import { Cancelled, EventPage, EventsQuery, Reply, ReplyEvent } from '../../protocol/rest.ts';
import { toEventFrame } from '../reply-frames.ts';
import { nothingToResume, parseEventId } from './event-stream.ts';
import { sendFailure } from './http-errors.ts';
import { streamReply } from './reply-stream.ts';
import { answer, failures, headerOf, type RouteParts, type Routes } from './routes.ts';
import { toReply } from './views.ts';

const Params = z.object({ message_id: MessageId });
const EventsHeaders = z.object({
  'last-event-id': z.string().optional().describe('As after, in the form of an event’s id: message_id:seq.'),
});
const tags = ['replies'];

/** `/replies/{message_id}`: state, events, cancel. */
export const registerReplyRoutes = (app: Routes, parts: RouteParts): void => {
  const { chat, toAsker } = parts;

  app.get(
    '/replies/:message_id',
    {
      schema: {
        operationId: 'getReply',
        summary: 'Read a reply: its state, and its text so far',
        description: 'While it runs and after: its text is kept with the conversation.',
        tags,
        params: Params,
        response: { 200: answer('The reply.', Reply), ...failures },
      },
    },
    async (request, reply) => {
      const found = await chat.getReply(request.params.message_id, { owner: toAsker(request).owner });
      return found.success ? toReply(found) : sendFailure(reply, found);
    },
  );

  app.get(
    '/replies/:message_id/events',
    {
      schema: {
        operationId: 'listReplyEvents',
        summary: 'Follow a reply',
        description:
          'Server-sent events, from `after` (or `Last-Event-ID`) on, until the reply’s end; with `Accept: application/json` a page of the events that there are.',
        tags,
        params: Params,
        querystring: EventsQuery,
        headers: EventsHeaders,
        response: {
          200: answer('A page of events; without `Accept: application/json`, all of them as they come.', EventPage),
          ...failures,
        },
      },
    },
    async (request, reply) => {
      const { message_id } = request.params;
      const { owner } = toAsker(request);
      const after = toPosition(headerOf(request, 'last-event-id'), message_id) ?? request.query.after;
      if (!wantsJson(headerOf(request, 'accept'))) {
        const found = await chat.findReply({ messageId: message_id }, { owner });
        if (!found.success) return sendFailure(reply, found);
        return streamReply(reply, parts, { record: found.reply, mode: 'delta', after });
      }
      const page = await chat.listEvents(message_id, { owner, after, limit: request.query.limit });
      if (!page.success) return sendFailure(reply, page);
      const events = page.entries.map((entry) => ReplyEvent.parse(toEventFrame(page.reply, entry)));
      return { success: true as const, message_id, events, next_after: page.entries.at(-1)?.seq ?? after };
    },
  );

  app.post(
    '/replies/:message_id/cancel',
    {
      schema: {
        operationId: 'cancelReply',
        summary: 'Cancel a reply',
        description: 'What was said is kept. A reply that has ended stays as it is: calling this twice does no harm.',
        tags,
        params: Params,
        response: { 200: answer('It has ended.', Cancelled), ...failures },
      },
    },
    async (request, reply) => {
      const cancelled = await chat.cancel({ messageId: request.params.message_id }, { owner: toAsker(request).owner });
      if (!cancelled.success) return sendFailure(reply, cancelled);
      const { messageId, conversationId, state } = cancelled;
      return { success: true as const, message_id: messageId, conversation_id: conversationId, state };
    },
  );
};

/** Event streams are what this route is for: a page is given to who asks for JSON and not for events. */
const wantsJson = (accept: string | undefined): boolean =>
  accept !== undefined && accept.includes('application/json') && !accept.includes('text/event-stream');

/** Where a client goes on, by the id of its last event; undefined when it has none. */
const toPosition = (lastEventId: string | undefined, messageId: string): number | undefined => {
  if (lastEventId === undefined) return undefined;
  const resumed = parseEventId(lastEventId);
  if (resumed?.messageId !== messageId) throw nothingToResume();
  return resumed.seq;
};
