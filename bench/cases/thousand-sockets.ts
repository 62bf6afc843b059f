import { readMetric } from '../measure/metrics.ts';
import { readRssBytes } from '../measure/proc.ts';
import type { Case } from './case.ts';
import type { Figures } from './interleave.ts';
import { toMeasured } from './paced-streams.ts';

const STREAMS = { full: 200, quick: 10 };
const IDLE = { full: 800, quick: 20 };
const MS_PER_TOKEN = 50;
const SECONDS = { full: 20, quick: 0.5 };

/** 1,000 sockets on one instance, 200 of them with 20 tokens a second. */
export const thousandSockets: Case = {
  name: 'thousand-sockets',
  async run(rig, { isQuick, tell }) {
    const pace = isQuick ? 'quick' : 'full';
    tell('service, Redis');
    await using subject = await rig.start('service, Redis');
    const load = rig.client.paced({
      urls: subject.urls,
      streams: STREAMS[pace],
      idle: IDLE[pace],
      msPerToken: MS_PER_TOKEN,
      rampSeconds: SECONDS[pace] / 4,
      windowSeconds: SECONDS[pace],
      prefix: rig.nextPrefix(),
      pids: rig.pidsOf(subject),
    });
    const { figures, limit } = toMeasured(await load);
    const loopP99Seconds = await readMetric(subject.httpUrl ?? '', 'nodejs_eventloop_lag_p99_seconds');
    const rssMegabytes = readRssBytes(subject.pids[0] ?? 0) / 2 ** 20;
    const all: Figures = { ...figures, loopP99Ms: (loopP99Seconds ?? NaN) * 1000, rssMegabytes };
    const target = (about: string, key: string, wanted: number, unit: string) => ({
      about: `1,000 sockets, 200 streams of ${MS_PER_TOKEN} ms: ${about}`,
      bound: '≤' as const,
      wanted,
      measured: all[key] ?? NaN,
      unit,
    });
    return {
      name: 'thousand-sockets',
      title: `${STREAMS[pace] + IDLE[pace]} sockets, ${STREAMS[pace]} with ${1000 / MS_PER_TOKEN} tokens a second`,
      columns: [
        { key: 'transitP50Ms', label: 'transit p50, ms', digits: 2 },
        { key: 'transitP99Ms', label: 'p99', digits: 2 },
        { key: 'loopP99Ms', label: 'loop p99, ms', digits: 1 },
        { key: 'rssMegabytes', label: 'RSS, MiB' },
        { key: 'cpuPerTokenUs', label: 'CPU per token, µs', digits: 1 },
        { key: 'redisPerTokenUs', label: 'Redis per token, µs', digits: 1 },
      ],
      rows: [{ subject: subject.name, figures: all, limit }],
      targets: [
        target('p50 transit', 'transitP50Ms', 5, 'ms'),
        target('p99 transit', 'transitP99Ms', 60, 'ms'),
        target('p99 delay of the loop', 'loopP99Ms', 50, 'ms'),
        target('RSS', 'rssMegabytes', 350, 'MiB'),
      ],
    };
  },
};
