import { buildApp, VERSION, type App } from './app.ts';
import { CommandLineError, parseCommandLine, toHelp } from './command-line.ts';
import { ConfigError, loadEnvironment, parseConfig, type Config, type Variables } from './config.ts';
import { LLMError } from './errors.ts';
import { createLog, type Log } from './telemetry/log.ts';
import { ProgressBar } from './telemetry/progress-bar.ts';
import { toWelcome } from './welcome.ts';

/** The process: command line, environment, listen, signals. */

/** Running replies may end by themselves for so long after a first signal. */
const DRAIN_MS = 12_000;
/** Whatever hangs then, the process ends. */
const EXIT_MS = 19_000;
/** Ctrl+C under npm is two signals, the terminal's and npm's: what follows the first so closely is the same. */
const SAME_SIGNAL_MS = 500;
/** How often a process that npm started looks whether its parent is there. */
const PARENT_CHECK_MS = 500;

const main = async (): Promise<void> => {
  const command = parseCommandLine(process.argv.slice(2));
  if (command.type === 'start') return start(command.settings);
  process.stdout.write(command.type === 'help' ? toHelp(VERSION) : `${VERSION}\n`);
};

/** Starts the service; what the command line says counts before the environment. */
const start = async (settings: Variables): Promise<void> => {
  const config = parseConfig({ ...loadEnvironment(process.cwd()), ...settings });
  const isProduction = config.nodeEnv === 'production';
  const bar = process.stdout.isTTY && !isProduction ? new ProgressBar(process.stdout) : undefined;
  const level = config.logLevel;
  const log = createLog(bar ? { level, pretty: true, destination: bar, colors: true } : { level, pretty: false });
  logUnexpected(log);
  const app = await buildApp(config, { log, ...(bar && { onDownload: (figures) => bar.show(figures) }) });
  const address = await listen(app, config);
  onStop((reason) => stop(app, log, reason));
  const { backend, fallback } = await app.chat.health();
  const { host, version, hint } = backend;
  const hosts = backend.hosts.filter(({ status }) => status !== 'down').map((each) => each.host);
  log[hint === undefined ? 'info' : 'warn']({ model: config.model, host, version, hint, fallback }, 'ready');
  if (isProduction) return; // a log of production is lines of JSON, and nothing else
  const hasKeys = config.apiKeys.length > 0;
  (bar ?? process.stdout).write(toWelcome({ address, hasKeys, model: config.model, hosts, hint, fallback }));
};

/** Says where it listens; what was opened is closed again where it cannot. */
const listen = async ({ server }: App, { host, port }: Config): Promise<string> => {
  try {
    return await server.listen({ host, port });
  } catch (error) {
    await server.close();
    throw error;
  }
};

/** Node would print an error that nobody caught with its text, which may repeat what people said. */
const logUnexpected = (log: Log): void => {
  process.on('uncaughtException', (error) => {
    log.fatal({ err: error }, 'stopped by an error that nobody caught');
    process.exit(1);
  });
};

/** Calls `stop` at the first reason to stop; a second signal ends the process at once. */
const onStop = (stop: (reason: string) => Promise<void>): void => {
  let stoppingSince: number | undefined;
  const begin = (reason: string): void => {
    if (stoppingSince === undefined) void stop(reason);
    else if (performance.now() - stoppingSince > SAME_SIGNAL_MS) process.exit(1);
    stoppingSince ??= performance.now();
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, begin);
  if (process.env['npm_lifecycle_event'] !== undefined) onOrphaned(() => begin('npm has gone'));
};

/** The shell that npm puts in between passes no signal on: where it is gone, that was one. */
const onOrphaned = (callback: () => void): void => {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    callback();
  }, PARENT_CHECK_MS).unref();
};

/** Lets running replies end, says goodbye, and closes all that was opened. */
const stop = async ({ server, chat }: App, log: Log, reason: string): Promise<void> => {
  log.info({ reason }, 'stopping: running replies may end; a second signal stops at once');
  setTimeout(() => process.exit(1), EXIT_MS).unref();
  await chat.drain(DRAIN_MS);
  await server.close();
  log.info('stopped');
  process.exit(0);
};

const SENTENCES: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is in use. Stop what listens there, or set PORT to another port.',
  EACCES: 'needs rights that this user does not have. Set PORT to a port above 1023.',
  EADDRNOTAVAIL: 'is not an address of this machine. Set HOST to one that is, or to 0.0.0.0 for all of them.',
  ENOTFOUND: 'is a name that this machine does not know. Set HOST to an IP address.',
};

/** A start that cannot be: one clear line for each reason, and no stack. */
const explain = (error: unknown): string => {
  if (error instanceof CommandLineError || error instanceof ConfigError || error instanceof LLMError)
    return error.message;
  if (!(error instanceof Error)) return String(error);
  const sentence = 'code' in error ? SENTENCES[String(error.code)] : undefined;
  return sentence === undefined ? (error.stack ?? error.message) : `${toPlace(error)} ${sentence}`;
};

/** Where it was to listen, as Node's errors of sockets and names have it. */
const toPlace = (error: Error): string => {
  const { address, hostname, port } = error as { address?: string; hostname?: string; port?: number }; // Node's own
  return `${address ?? hostname ?? 'The address'}${port === undefined ? '' : `:${port}`}`;
};

try {
  await main();
} catch (error) {
  process.stderr.write(`${explain(error)}\n`);
  process.exit(1);
}
