import type { FastifyInstance } from 'fastify';
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod';
import { toLLMError } from '../../errors.ts';
import { parseJsonText } from '../json-text.ts';
import { registerConversationRoutes } from './conversation-routes.ts';
import { registerGenerateRoutes } from './generate-routes.ts';
import { registerReplyRoutes } from './reply-routes.ts';
import type { RouteParts } from './routes.ts';
import { registerServiceRoutes } from './service-routes.ts';

/** The HTTP wire: JSON, and server-sent events. */
export const registerHttpTransport = (app: FastifyInstance, parts: RouteParts): void => {
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  acceptJsonAlone(app);
  const routes = app.withTypeProvider<ZodTypeProvider>();
  registerGenerateRoutes(routes, parts);
  registerConversationRoutes(routes, parts);
  registerReplyRoutes(routes, parts);
  registerServiceRoutes(routes, parts);
};

/** One kind of body. An empty one is none: many clients name a type for a call that has nothing to say. */
const acceptJsonAlone = (app: FastifyInstance): void => {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) => {
    if (body === '') return done(null);
    try {
      done(null, parseJsonText(String(body), 'The body'));
    } catch (error) {
      done(toLLMError(error));
    }
  });
};
