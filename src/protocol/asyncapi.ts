import { z } from 'zod';
import { clientEvents } from './client-events.ts';
import { plainSchema } from './json-schema.ts';
import { serverEvents } from './server-events.ts';

const SCHEMA_PREFIX = '#/components/schemas/';

type EventName = keyof typeof clientEvents | keyof typeof serverEvents;
type Part = Record<string, unknown>;

/** What each event is for, in a sentence. */
export const EVENT_SUMMARIES: Readonly<Record<EventName, string>> = {
  llm_request: 'Ask. Answered by llm_accepted and the reply’s events, or by llm_error.',
  llm_cancel: 'End a running reply; what was said is kept. Answered by the reply’s end, unless it was told before.',
  llm_resume: 'Follow a reply from an event on: after a reconnect, or in another tab. Replaces an earlier watch of it.',
  ping: 'Ask whether the service is there.',
  llm_accepted: 'The reply has begun, or the same request had begun it before.',
  llm_status: 'What the reply is doing; unnumbered. Comes at least every 10 s while nothing else does.',
  llm_context: 'History was left out of the prompt.',
  llm_delta: 'More text.',
  llm_rewind: 'What the client has is withdrawn, and given anew.',
  llm_response: 'The reply has ended well, or was cancelled: its full text. Nothing but a released status follows.',
  llm_error: 'A frame or a request was refused, or the reply has failed (then, and only then, it has a seq).',
  pong: 'The answer to a ping.',
};

const DESCRIPTION = `Every frame is text, and one JSON object: \`{"event": name, "data": {…}}\`.

- A request ends with **exactly one** \`llm_response\` or \`llm_error\`. A client that knows only \`llm_request\` and these
  two works; it may ask with \`stream: "none"\`.
- A reply belongs to the service: closing the socket stops nothing, \`llm_cancel\` does. After a reconnect,
  \`llm_resume\` goes on where the client was.
- The numbered events of a reply are 1, 2, 3 … without a hole. A client takes a delta whose \`seq\` is the next and whose
  \`at\` is the length of the channel’s text, passes over what it has seen, and resumes when something is missing.
- \`request_id\` is the client’s own id of a request. Sending the same again, over the socket or HTTP, attaches to the
  same reply; with another body it is refused.
- A frame that cannot be read is answered by an \`llm_error\`, and the socket stays open; five in a row close it (1008).
  A socket that is not read is closed (4008) and can resume. The service pings every 25 s.

Where the service has API keys, the handshake brings one: \`Authorization: Bearer <key>\`; a browser, which cannot set
headers, sends the subprotocols \`llm-chat.v1\` and \`bearer.<key>\`.`;

/** The socket's wire as an AsyncAPI 3.0 document, made from the schemas that parse and type it. */
export const buildAsyncApi = (version: string): Part => {
  const { data, shared } = toSchemas();
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'LLM chat service: the socket',
      version,
      description: DESCRIPTION,
      license: { name: 'MIT', url: 'https://opensource.org/license/mit' },
      contact: { name: 'LLM chat service' },
      tags: [{ name: 'chat', description: 'Ask, and follow the replies' }],
    },
    servers: {
      local: {
        host: 'localhost:3000',
        protocol: 'ws',
        description: 'Where `npm start` listens.',
        security: [{ $ref: '#/components/securitySchemes/apiKey' }],
      },
    },
    defaultContentType: 'application/json',
    channels: {
      socket: {
        address: '/ws',
        title: 'The socket',
        description: 'Subprotocol `llm-chat.v1`, optional.',
        messages: Object.fromEntries(EVENT_NAMES.map((name) => [name, { $ref: `#/components/messages/${name}` }])),
      },
    },
    operations: {
      receive: toOperation('receive', 'What a client sends.', Object.keys(clientEvents)),
      send: toOperation('send', 'What the service sends.', Object.keys(serverEvents)),
    },
    components: {
      messages: Object.fromEntries(EVENT_NAMES.map((name) => [name, toMessage(name)])),
      schemas: { ...data, ...shared },
      securitySchemes: {
        apiKey: { type: 'http', scheme: 'bearer', description: 'Needed where the service has API_KEYS.' },
      },
    },
  };
};

const isClientEvent = (name: string): name is keyof typeof clientEvents => Object.hasOwn(clientEvents, name);

const EVENTS: Readonly<Record<EventName, z.ZodType>> = { ...clientEvents, ...serverEvents };
const EVENT_NAMES = Object.keys(EVENTS) as readonly EventName[]; // of the object above

const toOperation = (action: 'send' | 'receive', summary: string, names: readonly string[]): Part => ({
  action,
  summary,
  description: `${summary} One JSON object in each frame.`,
  channel: { $ref: '#/channels/socket' },
  messages: names.map((name) => ({ $ref: `#/channels/socket/messages/${name}` })),
});

const toMessage = (name: EventName): Part => ({
  name,
  summary: EVENT_SUMMARIES[name],
  payload: {
    type: 'object',
    required: name === 'ping' ? ['event'] : ['event', 'data'],
    properties: { event: { type: 'string', const: name }, data: { $ref: SCHEMA_PREFIX + name } },
    ...(isClientEvent(name) && { additionalProperties: false }),
  },
  examples: examplesOf(EVENTS[name]).map((data) => ({ payload: { event: name, data } })),
});

const examplesOf = (schema: z.ZodType): readonly unknown[] => {
  const examples = schema.meta()?.['examples'];
  return Array.isArray(examples) ? examples : [];
};

/** Each event's data, and what several of them have in common. */
const toSchemas = (): { data: Part; shared: Part } => {
  const shared: Part = {};
  const data = EVENT_NAMES.map((name) => {
    const {
      $schema: _,
      definitions = {},
      examples: _examples,
      ...schema
    } = z.toJSONSchema(EVENTS[name], {
      io: isClientEvent(name) ? 'input' : 'output', // a client may leave out what has a default
      target: 'draft-7',
      override: plainSchema,
    });
    Object.assign(shared, toComponents(Object(definitions)));
    return [name, toComponents(schema)] as const;
  });
  return { data: Object.fromEntries(data), shared };
};

/** Definitions become components, where all events share them. */
const toComponents = (schema: Part): Part =>
  JSON.parse(JSON.stringify(schema).replaceAll('"#/definitions/', `"${SCHEMA_PREFIX}`), (key, value: unknown) =>
    isIdentity(key, value) ? undefined : value,
  ) as Part; // an object in, an object out

/** zod repeats a schema's own name in it. */
const isIdentity = (key: string, value: unknown): boolean =>
  (key === 'id' || key === '$id') && typeof value === 'string';
