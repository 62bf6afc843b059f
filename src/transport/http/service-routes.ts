import { z } from 'zod';
import type { ServiceHealth } from '../../chat/health.ts';
import { Alive, Health, Models } from '../../protocol/service.ts';
import { sendFailure } from './http-errors.ts';
import { answer, failures, type RouteParts, type Routes } from './routes.ts';

const tags = ['service'];
const open = { config: { isOpen: true } };

/** What there is, and how it is. */
export const registerServiceRoutes = (app: Routes, { chat, metrics, isProduction }: RouteParts): void => {
  app.get(
    '/models',
    {
      schema: {
        operationId: 'listModels',
        summary: 'List the models that can be asked for',
        description: 'Of all hosts: where each model is, whether it is loaded, and what it can do.',
        tags,
        response: { 200: answer('The models.', Models), ...failures },
      },
    },
    async (_request, reply) => {
      const listed = await chat.listModels();
      if (!listed.success) return sendFailure(reply, listed);
      const models = listed.models.map(({ name, provider, host, hosts, loaded, contextWindow, capabilities }) => ({
        name,
        provider,
        ...(host !== undefined && { host }),
        ...(hosts !== undefined && { hosts: [...hosts] }),
        loaded,
        context_window: contextWindow,
        capabilities: [...capabilities],
      }));
      return { success: true as const, models };
    },
  );

  app.get(
    '/health',
    {
      ...open,
      schema: {
        operationId: 'getHealth',
        summary: 'How the service, its store and its backend are',
        description: '503 when it cannot take requests: the store does not answer, or it is stopping.',
        tags,
        response: { 200: answer('It takes requests.', Health), 503: answer('It does not.', Health), ...failures },
      },
    },
    async (_request, reply) => {
      const { status, store, backend, fallback, queue, running, draining, ready } = await chat.health();
      const body = {
        success: ready,
        status,
        store,
        backend: toBackend(isProduction ? withoutHosts(backend) : backend),
        queue,
        running,
        draining,
        ...(fallback !== undefined && { fallback }),
      };
      return reply.code(ready ? 200 : 503).send(body);
    },
  );

  app.get(
    '/metrics',
    {
      schema: {
        operationId: 'getMetrics',
        summary: 'Figures for Prometheus',
        description: 'In its text format. Where the service has API_KEYS, the scraper sends one, too.',
        tags,
        response: {
          200: { description: 'The figures.', content: { 'text/plain': { schema: z.string() } } },
          ...failures,
        },
      },
    },
    async (_request, reply) =>
      reply
        .type(metrics.contentType)
        .serializer(String)
        .send(await metrics.collect()),
  );

  app.get(
    '/health/live',
    {
      ...open,
      schema: {
        operationId: 'isLive',
        summary: 'Whether the process answers',
        description: 'It needs no store and no model: for whoever starts a process anew that hangs.',
        tags,
        response: { 200: answer('It does.', Alive), ...failures },
      },
    },
    async () => ({ success: true }),
  );

  app.get(
    '/health/ready',
    {
      ...open,
      schema: {
        operationId: 'isReady',
        summary: 'Whether requests can be sent here',
        description: 'The store answers and nobody is stopping the service; models do not matter.',
        tags,
        response: { 200: answer('They can.', Alive), 503: answer('They cannot.', Alive), ...failures },
      },
    },
    async (_request, reply) => {
      const ready = await chat.isReady();
      return reply.code(ready ? 200 : 503).send({ success: ready });
    },
  );
};

type Backend = ServiceHealth['backend'];

/** Whoever asks without a key need not learn where the models are. */
const withoutHosts = ({ host: _host, hosts, ...backend }: Backend): Backend => ({
  ...backend,
  hosts: hosts.map((each, index) => ({ ...each, host: `host-${index + 1}` })),
});

const toBackend = ({ hosts, ...backend }: Backend): Health['backend'] => ({
  ...backend,
  hosts: hosts.map((each) => ({ ...each, models: [...each.models], loaded: [...each.loaded] })),
});
