import type { SubjectName } from '../measure/subjects.ts';
import type { Case } from './case.ts';

const SOCKETS = { full: 10_000, quick: 200 };
const WARM_UP = { full: 10_000, quick: 40 };
const SETTLE_SECONDS = { full: 5, quick: 0.2 };
const SUBJECTS: readonly SubjectName[] = ['relay', 'plain service', 'service, Redis', 'service, SQLite'];

/** What a socket costs that says nothing. All of them come from one address. */
export const idleSockets: Case = {
  name: 'idle-sockets',
  async run(rig, { isQuick, tell }) {
    const pace = isQuick ? 'quick' : 'full';
    const rows = [];
    for (const name of SUBJECTS) {
      tell(name);
      await using subject = await rig.start(name);
      const { beforeBytes, afterBytes } = await rig.client.idle({
        url: subject.urls[0] ?? '',
        sockets: SOCKETS[pace],
        warmUp: WARM_UP[pace],
        settleSeconds: SETTLE_SECONDS[pace],
        pid: subject.pids[0] ?? 0,
      });
      const figures = {
        kilobytes: (afterBytes - beforeBytes) / 1024 / SOCKETS[pace],
        beforeMegabytes: beforeBytes / 2 ** 20,
        afterMegabytes: afterBytes / 2 ** 20,
      };
      rows.push({ subject: name, figures, limit: 'memory' });
    }
    const service = rows.find(({ subject }) => subject === 'service, Redis');
    return {
      name: 'idle-sockets',
      title: `${SOCKETS[pace].toLocaleString('en')} idle sockets`,
      columns: [
        { key: 'kilobytes', label: 'RSS per socket, KiB', digits: 1 },
        { key: 'beforeMegabytes', label: 'RSS before, MiB' },
        { key: 'afterMegabytes', label: 'RSS with them, MiB' },
      ],
      rows,
      targets: [
        {
          about: 'memory of an idle socket',
          bound: '≤',
          wanted: 8,
          measured: service?.figures.kilobytes ?? NaN,
          unit: 'KiB',
        },
      ],
    };
  },
};
