import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CONTEXT_WINDOW } from '../backend/answers.ts';
import { MODEL } from '../backend/lines.ts';
import { Child } from './child.ts';

/**
 * What is measured: the service over each of its stores, and what it is compared with: the backend without anything in
 * front of it, a bare relay, and the plainest service of the same packages.
 */
export type SubjectName = 'backend' | 'relay' | 'plain service' | 'service, Redis' | 'service, SQLite' | 'two, Redis';

export interface Subject extends AsyncDisposable {
  readonly name: SubjectName;
  /** Where clients connect: one URL for each instance. */
  readonly urls: readonly string[];
  /** For `/metrics`, where there is one. */
  readonly httpUrl?: string;
  readonly pids: readonly number[];
  readonly usesRedis: boolean;
}

export interface Surroundings {
  readonly backendUrl: string;
  readonly backendPid: number;
  readonly redisUrl: string;
}

const OPEN_FILES = 16_384;

/** Limits that no case meets: what is measured is the way of a reply, not a refusal. */
const SETTINGS = {
  LOG_LEVEL: 'warn',
  NODE_ENV: 'production',
  LLM_MODEL: MODEL,
  LLM_CONTEXT_WINDOW: String(CONTEXT_WINDOW),
  LLM_RATE_LIMIT: '1000000',
  LLM_MAX_CONCURRENT: '10000',
  LLM_CONCURRENCY: '1000',
  LLM_QUEUE_LIMIT: '100000',
};

export interface StartOptions {
  /** Of Node: to profile the service. */
  readonly flags?: readonly string[];
  /** The root of another working copy, whose service is started in place of this one's. */
  readonly root?: string;
}

export const startSubject = async (
  name: SubjectName,
  surroundings: Surroundings,
  { flags = [], root = '' }: StartOptions = {},
): Promise<Subject> => {
  switch (name) {
    case 'backend':
      return toBackend(surroundings);
    case 'relay':
      return startBaseline(name, 'bench/baselines/relay.ts', surroundings);
    case 'plain service':
      return startBaseline(name, 'bench/baselines/plain-service.ts', surroundings);
    case 'service, Redis':
      return startService({ name, instances: 1, surroundings, flags, root });
    case 'two, Redis':
      return startService({ name, instances: 2, surroundings, flags, root });
    case 'service, SQLite':
      return startService({ name, instances: 1, surroundings, flags, root });
  }
};

const toBackend = ({ backendUrl, backendPid }: Surroundings): Subject => ({
  name: 'backend',
  urls: [backendUrl],
  pids: [backendPid],
  usesRedis: false,
  [Symbol.asyncDispose]: async () => undefined,
});

const startBaseline = async (name: SubjectName, file: string, surroundings: Surroundings): Promise<Subject> => {
  const child = new Child({
    file,
    environment: { OLLAMA_BASE_URL: surroundings.backendUrl, REDIS_URL: surroundings.redisUrl, NODE_ENV: 'production' },
    isMeasured: true,
    openFiles: OPEN_FILES,
  });
  return {
    name,
    urls: [`ws://127.0.0.1:${await child.listens()}/ws`],
    pids: [child.pid],
    usesRedis: name === 'plain service',
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  };
};

interface ServiceOptions {
  readonly name: SubjectName;
  readonly instances: number;
  readonly surroundings: Surroundings;
  readonly flags: readonly string[];
  readonly root: string;
}

const startService = async ({ name, instances, surroundings, flags, root }: ServiceOptions): Promise<Subject> => {
  const folder = await mkdtemp(join(tmpdir(), 'chat-bench-'));
  const usesRedis = name !== 'service, SQLite';
  const environment = {
    ...SETTINGS,
    OLLAMA_BASE_URL: surroundings.backendUrl,
    ...(usesRedis ? { REDIS_URL: surroundings.redisUrl } : { DATA_DIR: join(folder, 'data') }),
  };
  const ports = await Promise.all(Array.from({ length: instances }, findFreePort));
  const children = ports.map(
    (port) =>
      new Child({
        file: join(root, 'src/main.ts'),
        environment: { ...environment, PORT: String(port) },
        flags,
        folder,
        isMeasured: true,
        openFiles: OPEN_FILES,
      }),
  );
  const httpUrls = ports.map((port) => `http://127.0.0.1:${port}`);
  await Promise.all(children.map((child, index) => child.answers(`${httpUrls[index]}/health/ready`)));
  return {
    name,
    urls: httpUrls.map((url) => `${url.replace('http:', 'ws:')}/ws`),
    httpUrl: httpUrls[0] ?? '',
    pids: children.map(({ pid }) => pid),
    usesRedis,
    [Symbol.asyncDispose]: async () => {
      await Promise.all(children.map((child) => child[Symbol.asyncDispose]()));
      await rm(folder, { recursive: true });
    },
  };
};

const findFreePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo; // it listens on TCP
  server.close();
  await once(server, 'close');
  return port;
};
