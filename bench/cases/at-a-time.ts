import { toLimit } from '../measure/limits.ts';
import type { Rig } from '../measure/rig.ts';
import type { Subject, SubjectName } from '../measure/subjects.ts';
import type { ClosedLoopFigures } from '../load/closed-loop.ts';
import type { CaseResult, Column, Target } from '../report/result.ts';
import { checkFailures, type Case, type Size } from './case.ts';
import { interleave, type Measured, type Rounds } from './interleave.ts';

/** Replies at full speed, so many at a time; each in a conversation of its own. */
export interface AtATime {
  readonly name: string;
  readonly title: string;
  readonly connections: number;
  readonly tokens: number;
  readonly columns: readonly Column[];
  readonly targets: (rounds: Rounds) => readonly Target[];
}

export const SUBJECTS: readonly SubjectName[] = [
  'backend',
  'relay',
  'plain service',
  'service, Redis',
  'service, SQLite',
];

const ROUNDS = { full: 5, quick: 1 };
const SECONDS = { full: 5, quick: 0.4 };
const WARM_UP_SECONDS = { full: 4, quick: 0.2 };

export const createAtATime = (order: AtATime): Case => ({
  name: order.name,
  run: (rig, size) => run(order, rig, size),
});

const run = async (order: AtATime, rig: Rig, { isQuick, tell }: Size): Promise<CaseResult> => {
  const pace = isQuick ? 'quick' : 'full';
  const load = (subject: Subject, seconds: number): Promise<ClosedLoopFigures> =>
    rig.client.closedLoop({
      urls: subject.urls,
      connections: order.connections,
      seconds,
      tokens: order.tokens,
      prefix: rig.nextPrefix(),
      pids: rig.pidsOf(subject),
    });
  const rounds = await interleave({
    rig,
    subjects: SUBJECTS,
    rounds: ROUNDS[pace],
    warmUp: (subject) => load(subject, WARM_UP_SECONDS[pace]),
    measure: async (subject) => toMeasured(await load(subject, SECONDS[pace])),
    tell,
  });
  return {
    name: order.name,
    title: order.title,
    columns: order.columns,
    rows: SUBJECTS.map((subject) => ({
      subject,
      figures: { ...rounds.figures(subject), ...toAdded(rounds, subject) },
      limit: rounds.limit(subject),
    })),
    targets: order.targets(rounds),
  };
};

const toMeasured = (figures: ClosedLoopFigures): Measured => {
  checkFailures(figures.failures, figures.requests, figures.error);
  const { requests, tokens, seconds, cpu, pieces, latency, firstToken } = figures;
  const { subject = 0, redis = 0 } = cpu;
  return {
    figures: {
      requestsPerSecond: requests / seconds,
      tokensPerSecond: tokens / seconds,
      p50Ms: latency.p50,
      p99Ms: latency.p99,
      firstTokenMs: firstToken.p50,
      cpuPerRequestUs: (subject * 1e6) / requests,
      redisPerRequestUs: (redis * 1e6) / requests,
      cpuPerTokenUs: (subject * 1e6) / tokens,
      redisPerTokenUs: (redis * 1e6) / tokens,
      tokensPerFrame: tokens / pieces,
      failures: figures.failures,
    },
    limit: toLimit(cpu, seconds, 'waiting for each other'),
  };
};

/** What stands between: beyond what the backend takes by itself. */
const toAdded = (rounds: Rounds, subject: SubjectName): { readonly addedMs: number } => ({
  addedMs: (rounds.figures(subject)['p50Ms'] ?? NaN) - (rounds.figures('backend')['p50Ms'] ?? NaN),
});
