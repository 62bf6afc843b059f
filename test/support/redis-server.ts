import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';

const BINARY = 'redis-server';
const HOST = '127.0.0.1';
const CLUSTER_BUS_OFFSET = 10_000;

/** Whether this machine has one; `tell-what-is-missing.ts` says what to do where it has none. */
export const hasRedisServer = spawnSync(BINARY, ['--version']).status === 0;

/** A real redis-server in a folder of its own, which goes with it. */
export interface RedisServer extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** A connection for the test itself. */
  readonly admin: Redis;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** Stops it in mid-step, and lets it go on: it is there, and says nothing. */
  pause(): void;
  resume(): void;
  /** Starts it again after `kill`, over what it has left on the disk; resolves when it answers. */
  restart(): Promise<void>;
}

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export const startRedisServer = async (...settings: readonly string[]): Promise<RedisServer> => {
  const folder = await mkdtemp(join(tmpdir(), 'chat-redis-'));
  const first = await startSomewhere(folder, settings);
  const { port } = first;
  let { child } = first;
  const admin = new Redis({ host: HOST, port, retryStrategy: () => 20 });
  admin.on('error', () => undefined); // it may be killed at any time
  const kill = (): Promise<void> => endProcess(child);
  return {
    url: `redis://${HOST}:${port}`,
    port,
    admin,
    kill,
    pause: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
    restart: async () => {
      child = await startProcess(folder, port, settings);
    },
    [Symbol.asyncDispose]: async () => {
      admin.disconnect();
      await kill();
      await rm(folder, { recursive: true });
    },
  };
};

/** Every write on the disk before it is acknowledged. */
export const DURABLE = ['--appendonly', 'yes', '--appendfsync', 'always'] as const;

export interface RedisCluster extends AsyncDisposable {
  readonly url: string;
  readonly nodes: readonly RedisServer[];
}

/** Three masters, each with a third of the slots. */
export const startRedisCluster = async (...more: readonly string[]): Promise<RedisCluster> => {
  const settings = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '2000', ...more];
  const nodes = await Promise.all([1, 2, 3].map(() => startRedisServer(...settings)));
  const addresses = nodes.map(({ port }) => `${HOST}:${port}`);
  await promisify(execFile)('redis-cli', ['--cluster', 'create', ...addresses, '--cluster-yes']);
  for (const { admin } of nodes) await until(async () => (await admin.cluster('INFO')).includes('cluster_state:ok'));
  return {
    url: nodes.map((node) => node.url).join(','),
    nodes,
    [Symbol.asyncDispose]: async () => {
      await Promise.all(nodes.map((node) => node[Symbol.asyncDispose]()));
    },
  };
};

const TRIES = 5;

/** A free port may be taken by somebody else before the server has it: then there are others. */
const startSomewhere = async (
  folder: string,
  settings: readonly string[],
): Promise<{ readonly port: number; readonly child: ChildProcess }> => {
  for (let tries = 1; ; tries++) {
    const port = await findFreePort();
    try {
      return { port, child: await startProcess(folder, port, settings) };
    } catch (error) {
      if (tries === TRIES) throw error;
    }
  }
};

const startProcess = async (folder: string, port: number, settings: readonly string[]): Promise<ChildProcess> => {
  const options = ['--port', String(port), '--bind', HOST, '--dir', folder, '--save', '', '--daemonize', 'no'];
  const child = spawn(BINARY, [...options, ...settings], { stdio: ['ignore', 'pipe', 'inherit'] });
  running.add(child);
  child.once('exit', () => running.delete(child));
  const ready = Promise.withResolvers<void>();
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    if (text.includes('Ready to accept connections')) ready.resolve();
  });
  child.once('exit', () => ready.reject(new Error(`redis-server on port ${port} has ended before it was ready.`)));
  await ready.promise;
  return child;
};

const endProcess = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
};

/** A port that nobody has, and whose neighbour for the bus of a Cluster nobody has either. */
const findFreePort = async (): Promise<number> => {
  for (;;) {
    const port = await takePort(0);
    if (port + CLUSTER_BUS_OFFSET > 65_535) continue;
    if ((await takePort(port + CLUSTER_BUS_OFFSET).catch(() => 0)) > 0) return port;
  }
};

const takePort = async (wanted: number): Promise<number> => {
  const server = createServer();
  server.listen(wanted, HOST);
  await Promise.race([once(server, 'listening'), once(server, 'error').then(([error]) => Promise.reject(error))]);
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address ? address.port : 0;
};

/** Asks again until it is so. */
const until = async (check: () => Promise<boolean>): Promise<void> => {
  while (!(await check()));
};
