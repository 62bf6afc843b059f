import type { SubjectName } from '../measure/subjects.ts';
import type { Case } from './case.ts';
import { measurePaced, MS_PER_TOKEN, PACED_COLUMNS } from './paced-streams.ts';

const STREAMS = { full: 400, quick: 10 };
const RAMP_SECONDS = { full: 2, quick: 0.2 };
const SUBJECTS: readonly SubjectName[] = ['service, Redis', 'two, Redis'];

/** The same load on one instance, and on two that share it and the core: what a second one costs. */
export const twoInstances: Case = {
  name: 'two-instances',
  async run(rig, { isQuick, tell }) {
    const pace = isQuick ? 'quick' : 'full';
    const order = { streams: STREAMS[pace], rampSeconds: RAMP_SECONDS[pace], subjects: SUBJECTS };
    const rounds = await measurePaced(order, rig, { isQuick, tell });
    return {
      name: 'two-instances',
      title: `One instance and two, ${STREAMS[pace]} streams of ${MS_PER_TOKEN} ms a token in all`,
      columns: PACED_COLUMNS,
      rows: SUBJECTS.map((subject) => ({ subject, figures: rounds.figures(subject), limit: rounds.limit(subject) })),
      targets: [
        {
          about: 'CPU per token of two instances, as a multiple of one’s at the same load',
          bound: '≤',
          wanted: 1.05,
          measured: rounds.ratio('cpuPerTokenUs', 'two, Redis', 'service, Redis'),
          unit: '×',
        },
      ],
    };
  },
};
