import type { Target } from '../report/result.ts';
import { createAtATime } from './at-a-time.ts';
import type { Case } from './case.ts';
import type { Rounds } from './interleave.ts';

const TOKENS = 500;

const COLUMNS = [
  { key: 'cpuPerTokenUs', label: 'CPU per token, µs', digits: 2 },
  { key: 'redisPerTokenUs', label: 'Redis per token, µs', digits: 2 },
  { key: 'tokensPerSecond', label: 'tokens/s' },
  { key: 'tokensPerFrame', label: 'tokens per frame', digits: 1 },
  { key: 'firstTokenMs', label: 'first token p50, ms', digits: 2 },
  { key: 'p50Ms', label: 'reply p50, ms', digits: 2 },
  { key: 'failures', label: 'failed' },
];

const create = (connections: number, targets: (rounds: Rounds) => readonly Target[]): Case =>
  createAtATime({
    name: `full-speed-${connections}`,
    title: `Full speed (${TOKENS} tokens a reply), ${connections} at a time`,
    connections,
    tokens: TOKENS,
    columns: COLUMNS,
    targets,
  });

/** What a token costs when the backend is as fast as it is read. */
export const fullSpeed: readonly Case[] = [
  create(1, () => []),
  create(32, (rounds) => [
    {
      about: 'full speed, 32 at a time: CPU per token of the service on Redis, as a multiple of the relay’s',
      bound: '≤',
      wanted: 0.35,
      measured: rounds.ratio('cpuPerTokenUs', 'service, Redis', 'relay'),
      unit: '×',
    },
  ]),
];
