import { z } from 'zod';
import { clientEvents } from './client-events.ts';
import { serverEvents } from './server-events.ts';

const SCHEMA_PREFIX = '#/components/schemas/';

/** What each event is for, in a sentence. */
const SUMMARIES: Readonly<Record<keyof typeof clientEvents | keyof typeof serverEvents, string>> = {
  llm_request: 'Ask. Answered by llm_accepted, then by the reply’s events.',
  llm_cancel: 'End a running reply; what was said is kept.',
  llm_resume: 'Follow a reply from an event on: after a reconnect, or in another tab.',
  ping: 'Ask whether the service is there.',
  llm_accepted: 'The reply has begun, or the same request had begun it before.',
  llm_status: 'What the reply is doing; unnumbered.',
  llm_context: 'History was left out of the prompt.',
  llm_delta: 'More text.',
  llm_rewind: 'What the client has is withdrawn, and given anew.',
  llm_response: 'The reply has ended well, or was cancelled: its full text.',
  llm_error: 'The request was refused, or the reply has failed (then it has a seq).',
  pong: 'The answer to a ping.',
};

type Events = Readonly<Record<string, z.ZodType>>;

/** The socket's wire as an AsyncAPI 3.0 document, made from the schemas that parse and type it. */
export const buildAsyncApi = (version: string): Record<string, unknown> => ({
  asyncapi: '3.0.0',
  info: {
    title: 'LLM chat service: the socket',
    version,
    description:
      'Text frames, each one JSON object {"event": name, "data": {…}}. Numbered events of a reply are 1, 2, 3 … without a hole. ' +
      'A request ends with exactly one llm_response or llm_error. Closing the socket stops nothing.',
    license: { name: 'MIT' },
  },
  servers: { here: { host: 'localhost:3000', protocol: 'ws', description: 'Where `npm start` listens.' } },
  defaultContentType: 'application/json',
  channels: {
    socket: {
      address: '/ws',
      messages: Object.fromEntries(
        [...Object.keys(clientEvents), ...Object.keys(serverEvents)].map((name) => [
          name,
          { $ref: `#/components/messages/${name}` },
        ]),
      ),
    },
  },
  operations: {
    receive: toOperation('receive', 'What a client sends.', clientEvents),
    send: toOperation('send', 'What the service sends.', serverEvents),
  },
  components: {
    messages: { ...toMessages(clientEvents), ...toMessages(serverEvents) },
    schemas: toSchemas({ ...clientEvents, ...serverEvents }),
    securitySchemes: {
      apiKey: {
        type: 'http',
        scheme: 'bearer',
        description: 'Authorization: Bearer <key>; a browser sends the subprotocols llm-chat.v1 and bearer.<key>.',
      },
    },
  },
});

const toOperation = (action: 'send' | 'receive', summary: string, events: Events): Record<string, unknown> => ({
  action,
  summary,
  channel: { $ref: '#/channels/socket' },
  messages: Object.keys(events).map((name) => ({ $ref: `#/channels/socket/messages/${name}` })),
});

const toMessages = (events: Events): Record<string, unknown> =>
  Object.fromEntries(
    Object.keys(events).map((name) => [
      name,
      {
        name,
        summary: SUMMARIES[name as keyof typeof SUMMARIES], // the two lists have the same names
        payload: {
          type: 'object',
          required: ['event', 'data'],
          properties: { event: { type: 'string', const: name }, data: { $ref: `${SCHEMA_PREFIX}${name}` } },
        },
      },
    ]),
  );

/** A client's data as it may be sent (defaults may be left out), the service's as it is sent. */
const toSchemas = (events: Events): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(events).map(([name, schema]) => [
      name,
      withoutDraft(
        z.toJSONSchema(schema, { io: name in clientEvents ? 'input' : 'output', target: 'draft-7', reused: 'inline' }),
      ),
    ]),
  );

/** Nested schemas are put where they are used: a document of one file without local definitions. */
const withoutDraft = ({ $schema: _, ...schema }: Record<string, unknown>): Record<string, unknown> => inlined(schema);

const inlined = (schema: Record<string, unknown>): Record<string, unknown> => {
  const { definitions = {}, ...rest } = schema;
  const known = definitions as Record<string, Record<string, unknown>>; // JSON Schema's own shape
  const resolve = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(resolve);
    if (typeof value !== 'object' || value === null) return value;
    const reference = '$ref' in value && typeof value.$ref === 'string' ? value.$ref : undefined;
    if (reference?.startsWith('#/definitions/')) return resolve(known[reference.slice('#/definitions/'.length)]);
    return Object.fromEntries(
      Object.entries(value).flatMap(([key, inner]) =>
        key === 'id' && typeof inner === 'string' ? [] : [[key, resolve(inner)]],
      ),
    );
  };
  return resolve(rest) as Record<string, unknown>; // an object in, an object out
};
