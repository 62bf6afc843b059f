import type { SubjectName } from '../measure/subjects.ts';
import type { Case } from './case.ts';
import { interleave } from './interleave.ts';
import { PACED_COLUMNS, toMeasured } from './paced-streams.ts';

const STREAMS = { full: 400, quick: 10 };
const MS_PER_TOKEN = 20;
const ROUNDS = { full: 3, quick: 1 };
const SECONDS = { full: 6, quick: 0.5 };
const SUBJECTS: readonly SubjectName[] = ['service, Redis', 'two, Redis'];

/** The same load on one instance, and on two that share it and the core: what a second one costs. */
export const twoInstances: Case = {
  name: 'two-instances',
  async run(rig, { isQuick, tell }) {
    const pace = isQuick ? 'quick' : 'full';
    const load = (subject: Parameters<typeof rig.pidsOf>[0], windowSeconds: number) =>
      rig.client.paced({
        urls: subject.urls,
        streams: STREAMS[pace],
        msPerToken: MS_PER_TOKEN,
        rampSeconds: SECONDS[pace] / 3,
        windowSeconds,
        prefix: rig.nextPrefix(),
        pids: rig.pidsOf(subject),
      });
    const rounds = await interleave({
      rig,
      subjects: SUBJECTS,
      rounds: ROUNDS[pace],
      warmUp: (subject) => load(subject, SECONDS[pace] / 3),
      measure: async (subject) => toMeasured(await load(subject, SECONDS[pace])),
      tell,
    });
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
