import { moveAside } from './measure/cores.ts';
import { openRig } from './measure/rig.ts';
import type { Case } from './cases/case.ts';
import { describeMachine } from './report/machine.ts';
import type { CaseResult, Report } from './report/result.ts';

export interface BenchOptions {
  readonly cases: readonly Case[];
  readonly isQuick: boolean;
  readonly tell: (text: string) => void;
}

/** Runs the cases, one after the other, each before a backend, a Redis and clients of its own. One that fails is named. */
export const runBench = async ({ cases, isQuick, tell }: BenchOptions): Promise<Report> => {
  const date = new Date().toISOString();
  const results: CaseResult[] = [];
  const failed: string[] = [];
  let redis = '';
  moveAside();
  for (const each of cases) {
    const tellOfCase = (text: string): void => tell(`${each.name}: ${text}`);
    try {
      await using rig = await openRig();
      redis = rig.redisVersion;
      results.push(await each.run(rig, { isQuick, tell: tellOfCase }));
    } catch (error) {
      tellOfCase(`has failed: ${String(error)}`);
      failed.push(each.name);
    }
  }
  return { date, isQuick, machine: describeMachine(redis), cases: results, failed };
};
