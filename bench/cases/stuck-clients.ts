import type { CaseResult, Row } from '../report/result.ts';
import type { Rig } from '../measure/rig.ts';
import type { StuckFigures } from '../load/stuck.ts';
import type { Case } from './case.ts';
import { toMeasured } from './paced-streams.ts';

const HEALTHY = { full: 150, quick: 5 };
const STUCK = { full: 50, quick: 2 };
/** In the short form nobody is closed: a socket may be full for 30 s, or owe a pong until 35 s have gone by. */
const STOP_SECONDS = { full: 66, quick: 3 };
const MS_PER_TOKEN = 50;
const SLOW = '4008';

/** Clients that stop reading for a minute among others that read. */
export const stuckClients: Case = {
  name: 'stuck-clients',
  async run(rig, { isQuick, tell }) {
    const pace = isQuick ? 'quick' : 'full';
    tell('everybody reads');
    const before = await measure(rig, pace, true);
    tell(`${STUCK[pace]} do not`);
    const after = await measure(rig, pace, false);
    return toResult(before, after, STUCK[pace], STUCK[pace] + HEALTHY[pace]);
  },
};

const measure = async (rig: Rig, pace: 'full' | 'quick', isReading: boolean): Promise<StuckFigures> => {
  await using subject = await rig.start('service, Redis');
  return await rig.client.stuck({
    url: subject.urls[0] ?? '',
    healthy: HEALTHY[pace],
    stuck: STUCK[pace],
    msPerToken: MS_PER_TOKEN,
    stopSeconds: STOP_SECONDS[pace],
    isReading,
    prefix: rig.nextPrefix(),
    pid: subject.pids[0] ?? 0,
    pids: rig.pidsOf(subject),
  });
};

const toRow = (subject: string, { healthy, maxRssBytes, closed, resumedExactly }: StuckFigures): Row => {
  const { figures, limit } = toMeasured(healthy);
  const more = {
    rssMegabytes: maxRssBytes / 2 ** 20,
    closedSlow: closed[SLOW] ?? 0,
    closedOtherwise: closed['1006'] ?? 0,
    resumedExactly,
  };
  return { subject, figures: { ...figures, ...more }, limit };
};

const toResult = (before: StuckFigures, after: StuckFigures, stuck: number, clients: number): CaseResult => {
  const [reading, stopped] = [toRow('service, all read', before), toRow(`service, ${stuck} do not`, after)];
  const about = `${stuck} of ${clients} clients stop reading`;
  const toBytes = (row: Row): number => row.figures['rssMegabytes'] ?? NaN;
  return {
    name: 'stuck-clients',
    title: about,
    columns: [
      { key: 'transitP99Ms', label: 'healthy transit p99, ms', digits: 2 },
      { key: 'transitP50Ms', label: 'p50', digits: 2 },
      { key: 'rssMegabytes', label: 'most RSS, MiB' },
      { key: 'closedSlow', label: 'closed 4008' },
      { key: 'closedOtherwise', label: 'cut off (1006)' },
      { key: 'resumedExactly', label: 'every event once' },
    ],
    rows: [reading, stopped],
    targets: [
      {
        about: `${about}: p99 transit of the others, as a multiple of before`,
        bound: '≤',
        wanted: 1.2,
        measured: after.healthy.transit.p99 / before.healthy.transit.p99,
        unit: '×',
      },
      {
        about: `${about}: more RSS`,
        bound: '≤',
        wanted: 100,
        measured: toBytes(stopped) - toBytes(reading),
        unit: 'MiB',
      },
      { about: `${about}: closed with 4008`, bound: '≥', wanted: stuck, measured: after.closed[SLOW] ?? 0, unit: '' },
      { about: `${about}: resumed exactly`, bound: '≥', wanted: stuck, measured: after.resumedExactly, unit: '' },
    ],
  };
};
