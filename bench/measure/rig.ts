import { DURABLE, startRedisServer } from '../../test/support/redis-server.ts';
import { startLoadClient, type LoadClient } from '../load/client.ts';
import { Child } from './child.ts';
import type { Pids } from './proc.ts';
import { startSubject, type StartOptions, type Subject, type SubjectName } from './subjects.ts';

/** All that stands around what is measured, on the other core: the backend, Redis, and the clients. */
export interface Rig extends AsyncDisposable {
  readonly client: LoadClient;
  readonly redisVersion: string;
  start(name: SubjectName, options?: StartOptions): Promise<Subject>;
  /** Whose CPU a case reads while this subject is under load. */
  pidsOf(subject: Subject): Pids;
  /** A name that nobody else has had: conversations begin with it. */
  nextPrefix(): string;
}

/** Every write of Redis is on the disk before it is acknowledged. */
export const openRig = async (): Promise<Rig> => {
  await using opened = new AsyncDisposableStack();
  const redis = opened.use(await startRedisServer(...DURABLE));
  const backend = opened.use(new Child({ file: 'bench/backend/backend-process.ts', openFiles: 16_384 }));
  const backendUrl = `http://127.0.0.1:${await backend.listens()}`;
  const client = opened.use(await startLoadClient());
  const info = await redis.admin.info('server');
  const redisPid = Number(/process_id:(\d+)/.exec(info)?.[1]);
  const surroundings = { backendUrl, backendPid: backend.pid, redisUrl: redis.url };
  const close = opened.move();
  let prefixes = 0;
  return {
    client,
    redisVersion: /redis_version:(\S+)/.exec(info)?.[1] ?? 'unknown',
    start: (name, options) => startSubject(name, surroundings, options),
    pidsOf: (subject) => ({
      subject: subject.pids,
      redis: [redisPid],
      client: [client.pid],
      ...(subject.name !== 'backend' && { backend: [backend.pid] }),
    }),
    nextPrefix: () => `bench-${++prefixes}`,
    [Symbol.asyncDispose]: () => close.disposeAsync(),
  };
};
