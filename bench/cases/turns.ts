import { toLimit } from '../measure/limits.ts';
import type { Rig } from '../measure/rig.ts';
import { median } from '../measure/statistics.ts';
import type { Subject, SubjectName } from '../measure/subjects.ts';
import type { ClosedLoopFigures } from '../load/closed-loop.ts';
import type { CaseResult, Row } from '../report/result.ts';
import { checkFailures, type Case, type Size } from './case.ts';

/** Requests at a time, and tokens of an answer. */
const CONNECTIONS = 32;
const TOKENS = 10;
const ROUNDS = { full: 7, quick: 1 };
/** Requests of each slice that is measured. */
const SLICE = { full: 640, quick: 64 };
const SUBJECTS: readonly SubjectName[] = ['plain service', 'service, Redis', 'service, SQLite'];

/** The n-th turn, and how many conversations share a slice's requests: the fewer, the sooner they are long. */
interface Stage {
  readonly turn: number;
  readonly conversations: number | undefined;
}

const toStages = (isQuick: boolean): readonly Stage[] => [
  { turn: 1, conversations: undefined },
  { turn: 10, conversations: SLICE[isQuick ? 'quick' : 'full'] },
  { turn: isQuick ? 20 : 100, conversations: CONNECTIONS },
  { turn: isQuick ? 40 : 1000, conversations: CONNECTIONS },
];

/** What a request costs as its conversation grows. All turns of a subject are measured in turn, slice by slice. */
export const turns: Case = {
  name: 'turns',
  async run(rig, size) {
    const rows: Row[] = [];
    for (const name of SUBJECTS) rows.push(await measure(name, rig, size));
    return toResult(rows);
  },
};

const measure = async (name: SubjectName, rig: Rig, { isQuick, tell }: Size): Promise<Row> => {
  const pace = isQuick ? 'quick' : 'full';
  await using subject = await rig.start(name);
  const stages = toStages(isQuick).map((stage) => ({ ...stage, slices: [] as number[] }));
  let limit = '';
  const long = stages.slice(2).map((stage) => ({ stage, prefix: rig.nextPrefix() }));
  for (const { stage, prefix } of long) {
    tell(`${name}: conversations of ${stage.turn} turns`);
    // The slices then lie around the turn.
    const turnsBefore = stage.turn - Math.ceil((ROUNDS[pace] * SLICE[pace]) / CONNECTIONS / 2);
    await ask(rig, subject, { prefix, conversations: CONNECTIONS, requests: turnsBefore * CONNECTIONS });
  }
  for (let round = 1; round <= ROUNDS[pace]; round++) {
    tell(`${name}: round ${round} of ${ROUNDS[pace]}`);
    for (const stage of stages) {
      const prefix = long.find((each) => each.stage === stage)?.prefix ?? rig.nextPrefix();
      const order = { prefix, conversations: stage.conversations, requests: SLICE[pace] };
      if (stage.turn === 10) await ask(rig, subject, { ...order, requests: SLICE[pace] * 9 });
      const { cpu, requests, seconds } = await ask(rig, subject, order);
      stage.slices.push(((cpu['subject'] ?? NaN) * 1e6) / requests);
      limit = toLimit(cpu, seconds, 'waiting for each other');
    }
  }
  const [first, tenth, hundredth, last] = stages.map(({ slices }) => median(slices));
  const [, tenths = [], , lasts = []] = stages.map(({ slices }) => slices);
  const growth = median(lasts.map((cost, round) => cost / (tenths[round] ?? NaN)));
  const figures = { at1: first ?? NaN, at10: tenth ?? NaN, at100: hundredth ?? NaN, at1000: last ?? NaN, growth };
  return { subject: name, figures, limit };
};

interface Ask {
  readonly prefix: string;
  readonly conversations: number | undefined;
  readonly requests: number;
}

const ask = async (rig: Rig, subject: Subject, { conversations, ...order }: Ask): Promise<ClosedLoopFigures> => {
  const figures = await rig.client.closedLoop({
    ...order,
    ...(conversations !== undefined && { conversations }),
    urls: subject.urls,
    connections: CONNECTIONS,
    tokens: TOKENS,
    pids: rig.pidsOf(subject),
  });
  checkFailures(figures.failures, figures.requests, figures.error);
  return figures;
};

const toResult = (rows: readonly Row[]): CaseResult => ({
  name: 'turns',
  title: `A turn of a conversation (${TOKENS} tokens, ${CONNECTIONS} at a time)`,
  columns: [
    { key: 'at1000', label: 'CPU at turn 1,000, µs' },
    { key: 'at100', label: 'turn 100' },
    { key: 'at10', label: 'turn 10' },
    { key: 'at1', label: 'turn 1' },
    { key: 'growth', label: 'turn 1,000 to turn 10', digits: 3 },
  ],
  rows,
  targets: rows
    .filter(({ subject }) => subject !== 'plain service')
    .map(({ subject, figures }) => ({
      about: `${subject}: CPU of turn 1,000, as a multiple of turn 10’s`,
      bound: '≤',
      wanted: 1.05,
      measured: figures['growth'] ?? NaN,
      unit: '×',
    })),
});
