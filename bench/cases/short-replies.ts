import type { Target } from '../report/result.ts';
import { createAtATime } from './at-a-time.ts';
import type { Case } from './case.ts';
import type { Rounds } from './interleave.ts';

/** Tokens of a short reply. */
const TOKENS = 10;

const COLUMNS = [
  { key: 'cpuPerRequestUs', label: 'CPU per request, µs' },
  { key: 'redisPerRequestUs', label: 'Redis per request, µs' },
  { key: 'requestsPerSecond', label: 'requests/s' },
  { key: 'p50Ms', label: 'p50, ms', digits: 2 },
  { key: 'p99Ms', label: 'p99, ms', digits: 2 },
  { key: 'addedMs', label: 'added p50, ms', digits: 2 },
  { key: 'failures', label: 'failed' },
];

const create = (connections: number, targets: (rounds: Rounds) => readonly Target[]): Case =>
  createAtATime({
    name: `short-replies-${connections}`,
    title: `Short replies (${TOKENS} tokens), ${connections} at a time`,
    connections,
    tokens: TOKENS,
    columns: COLUMNS,
    targets,
  });

/** What a request costs, and how long it is under way. */
export const shortReplies: readonly Case[] = [
  create(1, () => []),
  create(32, (rounds) => [
    {
      about: 'short replies, 32 at a time: CPU of the service on Redis, as a multiple of the relay’s',
      bound: '≤',
      wanted: 3,
      measured: rounds.ratio('cpuPerRequestUs', 'service, Redis', 'relay'),
      unit: '×',
    },
    {
      about: 'short replies, 32 at a time: CPU of the service on Redis, as a multiple of the plain service’s',
      bound: '≤',
      wanted: 0.7,
      measured: rounds.ratio('cpuPerRequestUs', 'service, Redis', 'plain service'),
      unit: '×',
    },
  ]),
];
