import type { CpuSeconds } from './proc.ts';

/** Of a core: above it there is nothing left. */
const FULL = 0.93;

/** Shares of a core, in percent. */
const toPercent = (share: number): string => `${Math.round(share * 100)} %`;

/** Of a core: more than this by programs that have nothing to do with it, and the figures mean less. */
const DISTURBED = 0.15;

/** What keeps a run from being faster, by who has used how much of which core. */
export const toLimit = (cpu: CpuSeconds, seconds: number, whereIdle: string): string => {
  const { subject = 0, client = 0, backend = 0, redis = 0, others = 0 } = cpu;
  const shares = `client ${toPercent(client / seconds)}, backend ${toPercent(backend / seconds)}, Redis ${toPercent(redis / seconds)}`;
  const own = `its core ${toPercent(subject / seconds)}`;
  if (others / seconds > DISTURBED)
    return `other programs: ${toPercent(others / seconds)} of a core (${own}; ${shares})`;
  if (subject / seconds > FULL) return `${own} (${shares})`;
  if ((client + backend + redis) / seconds > FULL) return `the other core: ${shares} (${own})`;
  return `${whereIdle} (${own}; ${shares})`;
};
