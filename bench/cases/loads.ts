import { checkFailures } from './case.ts';
import type { Rig } from '../measure/rig.ts';
import type { Subject } from '../measure/subjects.ts';

/** What was done, and the seconds of CPU that it took. */
export interface Done {
  readonly count: number;
  readonly cpuSeconds: number;
}

export type Load = (rig: Rig, subject: Subject, seconds: number) => Promise<Done>;

const closedLoop =
  (tokens: number): Load =>
  async (rig, subject, seconds) => {
    const order = { urls: subject.urls, connections: 32, seconds, tokens, prefix: rig.nextPrefix() };
    const {
      requests: count,
      cpu,
      failures,
      error,
    } = await rig.client.closedLoop({ ...order, pids: rig.pidsOf(subject) });
    checkFailures(failures, count, error);
    return { count, cpuSeconds: cpu['subject'] ?? NaN };
  };

const paced: Load = async (rig, subject, windowSeconds) => {
  const order = { urls: subject.urls, streams: 500, msPerToken: 20, rampSeconds: 1, windowSeconds };
  const {
    tokens: count,
    cpu,
    streams,
    failures,
    error,
  } = await rig.client.paced({
    ...order,
    prefix: rig.nextPrefix(),
    pids: rig.pidsOf(subject),
  });
  checkFailures(failures, streams, error);
  return { count, cpuSeconds: cpu['subject'] ?? NaN };
};

/** A load, and what its costs are divided by. */
interface NamedLoad {
  readonly load: Load;
  readonly per: string;
  /** Of what `count` counts. */
  readonly units: number;
}

/** The loads whose CPU matters most, for the tools that look closer than the cases do. */
export const LOADS: Readonly<Record<string, NamedLoad>> = {
  'short-replies': { load: closedLoop(10), per: 'request', units: 1 },
  'full-speed': { load: closedLoop(500), per: 'token', units: 500 },
  'paced-500': { load: paced, per: 'token', units: 1 },
};

/** @throws Error naming those that there are */
export const findLoad = (name: string): NamedLoad => {
  const found = LOADS[name];
  if (!found) throw new Error(`There is no load ${name}. There are: ${Object.keys(LOADS).join(', ')}.`);
  return found;
};
