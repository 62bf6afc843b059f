import type { FastifyInstance } from 'fastify';
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod';
import { registerConversationRoutes } from './conversation-routes.ts';
import { registerGenerateRoutes } from './generate-routes.ts';
import { registerReplyRoutes } from './reply-routes.ts';
import type { RouteParts } from './routes.ts';
import { registerServiceRoutes } from './service-routes.ts';

/** The HTTP wire: JSON, and server-sent events. */
export const registerHttpTransport = (app: FastifyInstance, parts: RouteParts): void => {
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  const routes = app.withTypeProvider<ZodTypeProvider>();
  registerGenerateRoutes(routes, parts);
  registerConversationRoutes(routes, parts);
  registerReplyRoutes(routes, parts);
  registerServiceRoutes(routes, parts);
};
