import { buildApp, type App } from './app.ts';
import { ConfigError, loadEnvironment, parseConfig, type Config } from './config.ts';
import { LLMError } from './errors.ts';
import { createLog, type Log } from './telemetry/log.ts';

/** The process: environment, listen, signals. */

/** Running replies may end by themselves for so long after a first signal. */
const DRAIN_MS = 12_000;
/** Whatever hangs then, the process ends. */
const EXIT_MS = 19_000;

const main = async (): Promise<void> => {
  const config = parseConfig(loadEnvironment(process.cwd()));
  const isTerminal = process.stdout.isTTY && config.nodeEnv !== 'production';
  const log = createLog({ level: config.logLevel, pretty: isTerminal });
  const app = await buildApp(config, { log });
  stopOnSignals(app, log);
  const address = await app.server.listen({ host: config.host, port: config.port });
  const { backend, fallback } = await app.chat.health();
  log.info({ address, backend: backend.status, version: backend.version }, 'listening');
  process.stdout.write(toWelcome({ address, config, hint: backend.hint, fallback }));
};

interface Welcome {
  readonly address: string;
  readonly config: Config;
  /** What to do about the backend. */
  readonly hint: string | undefined;
  readonly fallback: string | undefined;
}

/** Where to click, and what to type. */
const toWelcome = ({ address, config, hint, fallback }: Welcome): string => {
  const url = address.replace('127.0.0.1', 'localhost');
  const hasKeys = config.apiKeys.length > 0;
  const key = hasKeys ? ` -H 'Authorization: Bearer <your key>'` : '';
  const protocols = hasKeys ? `, ['llm-chat.v1', 'bearer.<your key>']` : '';
  const request = `{event:'llm_request',data:{conversation_id:'c1',message:'Hello!'}}`;
  const answers = fallback
    ? `${fallback} answers until Ollama does. ${hint ?? ''}`
    : (hint ?? `${config.model} answers, from ${config.ollamaBaseUrl}.`);
  return `
  Try it:    ${url}/docs

  curl:      curl${key} -H 'content-type: application/json' ${url}/generate_response \\
               -d '{"conversation_id":"c1","user_input":"Hello!"}'

  browser:   paste this into the console of ${url}/docs
             ws = new WebSocket('${url.replace('http', 'ws')}/ws'${protocols}); ws.onmessage = (m) => console.log(m.data); ws.onopen = () => ws.send(JSON.stringify(${request}))

  ${answers}

`;
};

/** The first signal lets replies end and says goodbye; a second stops at once. */
const stopOnSignals = ({ server, chat }: App, log: Log): void => {
  let isStopping = false;
  const stop = async (signal: NodeJS.Signals): Promise<void> => {
    if (isStopping) process.exit(1);
    isStopping = true;
    log.info({ signal }, 'stopping: running replies may end; a second signal stops at once');
    setTimeout(() => process.exit(1), EXIT_MS).unref();
    await chat.drain(DRAIN_MS);
    await server.close();
    log.info('stopped');
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, (name) => void stop(name));
};

/** A start that cannot be: one clear line for each reason, and no stack. */
const explain = (error: unknown): string => {
  if (error instanceof ConfigError || error instanceof LLMError) return error.message;
  if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') {
    return `The address is in use: ${error.message}. Stop what listens there, or set PORT to another port.`;
  }
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
};

try {
  await main();
} catch (error) {
  process.stderr.write(`${explain(error)}\n`);
  process.exit(1);
}
