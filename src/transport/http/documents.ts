import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import { createJsonSchemaTransform, createJsonSchemaTransformObject } from 'fastify-type-provider-zod';
import type { FastifyInstance } from 'fastify';
import { stringify } from 'yaml';
import { buildAsyncApi } from '../../protocol/asyncapi.ts';
import { plainSchema } from '../../protocol/json-schema.ts';
import { tidyOpenApi } from '../../protocol/openapi.ts';
import { toSocketPage } from './socket-page.ts';

export interface DocumentOptions {
  readonly version: string;
}

const TITLE = 'LLM chat service';

const DESCRIPTION = `A chat backend for Ollama. A reply belongs to the server: it goes on when the client leaves, and whoever asks
again sees it go on. [**The socket’s events**](./socket) have a page of their own: the WebSocket at \`/ws\` and the
server-sent events tell the same.`;

const SCHEMAS = { zodToJsonConfig: { override: plainSchema } };
const toDocument = createJsonSchemaTransformObject(SCHEMAS);

export const toYaml = (document: object): string => stringify(document, { lineWidth: 0, aliasDuplicateObjects: false });

export interface DemoOption {
  /** The id of the reply that the examples are about, as this store has it; undefined where there is none. */
  readonly toDemoId: () => string | undefined;
}

/** The schemas know the example by the id that it has in a file of one process; another store has another. */
const EXAMPLE_ID = 'msg_demo';

const withDemo = <Document extends object>(document: Document, demoId = EXAMPLE_ID): Document =>
  JSON.parse(JSON.stringify(document).replaceAll(EXAMPLE_ID, demoId)); // ids need no escapes in JSON

/** The docs UI is made for a desk: on a phone its tables go beyond the screen, and addresses take the whole width. */
const PHONE_STYLE = `@media (max-width: 40rem) {
  .swagger-ui .wrapper { padding: 0 8px; }
  .swagger-ui .opblock .opblock-summary { flex-wrap: wrap; }
  .swagger-ui .opblock .opblock-summary-path { max-width: 100%; }
  .swagger-ui .parameters, .swagger-ui .responses-table, .swagger-ui .response { display: block; }
  .swagger-ui table tbody, .swagger-ui table tr, .swagger-ui table td { display: block; width: auto; max-width: 100%; }
  .swagger-ui table thead { display: none; }
  .swagger-ui .parameters-col_description input, .swagger-ui textarea, .swagger-ui select { max-width: 100%; }
}`;

const VIEWPORT = '<meta name="viewport" content="width=device-width, initial-scale=1">';

/** The docs UI has no line for phones in its head: they would show it as on a desk, and small. */
const toPhonePage = (payload: unknown): unknown =>
  typeof payload === 'string' && payload.includes('id="swagger-ui"')
    ? payload.replace('<head>', () => `<head>\n      ${VIEWPORT}`)
    : payload;

/** `/docs`, `/openapi.yaml` and `/asyncapi.yaml`; to be registered before the routes that it describes. */
export const registerDocuments = async (
  app: FastifyInstance,
  { version, toDemoId }: DocumentOptions & DemoOption,
): Promise<void> => {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: TITLE,
        description: DESCRIPTION,
        version,
        license: { name: 'MIT', identifier: 'MIT' },
        contact: { name: TITLE },
      },
      servers: [{ url: '/', description: 'This service' }],
      components: {
        securitySchemes: {
          apiKey: { type: 'http', scheme: 'bearer', description: 'Needed where the service has API_KEYS.' },
        },
      },
      security: [{}, { apiKey: [] }],
      tags: [
        { name: 'chat', description: 'Ask' },
        { name: 'conversations', description: 'What was said' },
        { name: 'replies', description: 'What is being said' },
        { name: 'service', description: 'The service itself' },
      ],
    },
    transform: createJsonSchemaTransform(SCHEMAS),
    transformObject: (document) => withDemo(tidyOpenApi(toDocument(document)), toDemoId()),
  });
  await app.register(async (scope) => {
    scope.addHook('onRoute', (route) => {
      route.config = { ...route.config, isOpen: true };
    });
    scope.addHook('onRequest', async (request, reply) => {
      // Relative, since a proxy may have taken a path away; with the slash, so that the pages' own links are relative, too.
      if (/^\/docs(?:$|\?)/.test(request.url)) return reply.redirect('docs/');
    });
    scope.addHook('onSend', async (_request, _reply, payload) => toPhonePage(payload));
    scope.get('/docs/socket', { schema: { hide: true } }, async (_request, reply) =>
      reply.type('text/html; charset=utf-8').send(toSocketPage(version)),
    );
    await scope.register(swaggerUi, {
      routePrefix: '/docs',
      staticCSP: false, // the app's own policy covers it
      theme: { title: TITLE, css: [{ filename: 'phone.css', content: PHONE_STYLE }] },
      uiConfig: { tryItOutEnabled: true, displayRequestDuration: true, layout: 'BaseLayout' },
    });
  });
};

/** The documents as files. */
export const registerDocumentRoutes = (app: FastifyInstance, { version }: DocumentOptions): void => {
  const hidden = { config: { isOpen: true }, schema: { hide: true } };
  app.get('/openapi.yaml', hidden, async (_request, reply) =>
    reply.type('application/yaml').send(toYaml(app.swagger())),
  );
  app.get('/asyncapi.yaml', hidden, async (_request, reply) =>
    reply.type('application/yaml').send(toYaml(buildAsyncApi(version))),
  );
  app.get('/', hidden, async (_request, reply) => reply.redirect('/docs'));
};
