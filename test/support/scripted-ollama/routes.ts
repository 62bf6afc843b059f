import { answerShow, ps, tags } from './catalogue.ts';
import { answerChat } from './chat.ts';
import type { Exchange } from './exchange.ts';
import type { Host } from './host.ts';
import { answerPull } from './pull.ts';

type Answerer = (exchange: Exchange, host: Host) => Promise<void> | void;

interface Route {
  readonly methods: readonly string[];
  readonly answer: Answerer;
}

const read = (answerer: Answerer): Route => ({ methods: ['GET', 'HEAD'], answer: answerer });
const ask = (answerer: Answerer): Route => ({ methods: ['POST'], answer: answerer });

/** The endpoints that are played; every other path is unknown, as in an Ollama that never heard of it. */
const routes: Readonly<Record<string, Route>> = {
  '/': read((exchange) => exchange.text(200, 'Ollama is running', { 'Content-Type': 'text/plain; charset=utf-8' })),
  '/api/version': read((exchange, { version }) => exchange.json(200, { version })),
  '/api/tags': read((exchange, host) => exchange.json(200, tags(host))),
  '/api/ps': read((exchange, host) => exchange.json(200, ps(host))),
  '/api/show': ask(answerShow),
  '/api/chat': ask(answerChat),
  '/api/pull': ask(answerPull),
};

/** Answers one request, refusing unknown paths and wrong methods in plain text. */
export async function answer(exchange: Exchange, host: Host): Promise<void> {
  const route = routes[exchange.path];
  if (!route) return exchange.text(404, '404 page not found', { 'Content-Type': 'text/plain' });
  if (route.methods.includes(exchange.method)) return route.answer(exchange, host);
  const headers = { Allow: route.methods.join(', '), 'Content-Type': 'text/plain' };
  exchange.text(405, '405 method not allowed', headers);
}
