import { toLimit } from '../measure/limits.ts';
import type { Rig } from '../measure/rig.ts';
import type { Subject, SubjectName } from '../measure/subjects.ts';
import type { PacedFigures } from '../load/paced.ts';
import type { CaseResult, Target } from '../report/result.ts';
import { SUBJECTS } from './at-a-time.ts';
import { checkFailures, type Case, type Size } from './case.ts';
import { interleave, type Measured, type Rounds } from './interleave.ts';

export const MS_PER_TOKEN = 20;
const ROUNDS = { full: 3, quick: 1 };
const WINDOW_SECONDS = { full: 6, quick: 0.5 };
const RAMP_SECONDS = { full: 3, quick: 0.2 };
/** Streams of the short form. */
const FEW = 10;

export const PACED_COLUMNS = [
  { key: 'cpuPerTokenUs', label: 'CPU per token, µs', digits: 1 },
  { key: 'redisPerTokenUs', label: 'Redis per token, µs', digits: 1 },
  { key: 'tokensPerSecond', label: 'tokens/s' },
  { key: 'tokensPerFrame', label: 'tokens per frame', digits: 2 },
  { key: 'firstTokenMs', label: 'first token p50, ms', digits: 1 },
  { key: 'firstTokenP99Ms', label: 'p99', digits: 1 },
  { key: 'transitP50Ms', label: 'transit p50, ms', digits: 2 },
  { key: 'transitP99Ms', label: 'p99', digits: 2 },
  { key: 'jitterP99Ms', label: 'jitter p99, ms', digits: 2 },
  { key: 'failures', label: 'failed' },
];

export interface PacedLoad {
  readonly streams: number;
  readonly rampSeconds: number;
  readonly subjects: readonly SubjectName[];
}

const create = (streams: number, toTargets: (rounds: Rounds) => readonly Target[]): Case => ({
  name: `paced-${streams}`,
  run: (rig, size) => run({ streams, toTargets }, rig, size),
});

interface Order {
  readonly streams: number;
  readonly toTargets: (rounds: Rounds) => readonly Target[];
}

const run = async ({ streams, toTargets }: Order, rig: Rig, { isQuick, tell }: Size): Promise<CaseResult> => {
  const count = isQuick ? FEW : streams;
  const rampSeconds = RAMP_SECONDS[isQuick ? 'quick' : 'full'];
  const rounds = await measurePaced({ streams: count, rampSeconds, subjects: SUBJECTS }, rig, { isQuick, tell });
  return {
    name: `paced-${streams}`,
    title: `${count} streams of ${MS_PER_TOKEN} ms a token`,
    columns: PACED_COLUMNS,
    rows: SUBJECTS.map((subject) => ({ subject, figures: rounds.figures(subject), limit: rounds.limit(subject) })),
    targets: toTargets(rounds),
  };
};

/** Rounds of so many streams in all, of each subject in turn. */
export const measurePaced = (
  { streams, rampSeconds, subjects }: PacedLoad,
  rig: Rig,
  { isQuick, tell }: Size,
): Promise<Rounds> => {
  const pace = isQuick ? 'quick' : 'full';
  const load = (subject: Subject, windowSeconds: number): Promise<PacedFigures> =>
    rig.client.paced({
      urls: subject.urls,
      streams,
      msPerToken: MS_PER_TOKEN,
      rampSeconds,
      windowSeconds,
      prefix: rig.nextPrefix(),
      pids: rig.pidsOf(subject),
    });
  return interleave({
    rig,
    subjects,
    rounds: ROUNDS[pace],
    warmUp: (subject) => load(subject, WINDOW_SECONDS[pace] / 3),
    measure: async (subject) => toMeasured(await load(subject, WINDOW_SECONDS[pace])),
    tell,
  });
};

export const toMeasured = (figures: PacedFigures): Measured => {
  checkFailures(figures.failures, figures.streams, figures.error);
  const { tokens, seconds, cpu, pieces, firstToken, transit, jitter } = figures;
  const { subject = 0, redis = 0 } = cpu;
  return {
    figures: {
      cpuPerTokenUs: (subject * 1e6) / tokens,
      redisPerTokenUs: (redis * 1e6) / tokens,
      tokensPerSecond: tokens / seconds,
      tokensPerFrame: tokens / pieces,
      firstTokenMs: firstToken.p50,
      firstTokenP99Ms: firstToken.p99,
      transitP50Ms: transit.p50,
      transitP99Ms: transit.p99,
      jitterP99Ms: jitter.p99,
      failures: figures.failures,
    },
    limit: toLimit(cpu, seconds, 'the pace'),
  };
};

/** Time to the first token, transit and jitter, and what a token costs, at the pace of a model. */
export const pacedStreams: readonly Case[] = [
  create(200, () => []),
  create(500, (rounds) => [
    {
      about: '500 streams: CPU per token of the service on Redis, as a multiple of the relay’s',
      bound: '≤',
      wanted: 1,
      measured: rounds.ratio('cpuPerTokenUs', 'service, Redis', 'relay'),
      unit: '×',
    },
    {
      about: '500 streams: p99 transit of the service on Redis, as a multiple of the relay’s',
      bound: '≤',
      wanted: 1,
      measured: rounds.ratio('transitP99Ms', 'service, Redis', 'relay'),
      unit: '×',
    },
  ]),
  create(1000, (rounds) => [
    {
      about: '1,000 streams on one core: tokens that the service on Redis delivers, as a multiple of the relay’s',
      bound: '≥',
      wanted: 1,
      measured: rounds.ratio('tokensPerSecond', 'service, Redis', 'relay'),
      unit: '×',
    },
  ]),
];
