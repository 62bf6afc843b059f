import { parseArgs } from 'node:util';
import { findLoad, LOADS } from './cases/loads.ts';
import { moveAside } from './measure/cores.ts';
import { openRig } from './measure/rig.ts';
import { median } from './measure/statistics.ts';

/**
 * `node bench/compare.ts --with ../before short-replies`: what this working copy's service on Redis costs, as a
 * multiple of another's. Both run in turn, so that the answer holds on a busy machine, too.
 */

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    with: { type: 'string', multiple: true, default: [] },
    rounds: { type: 'string', default: '8' },
    seconds: { type: 'string', default: '3' },
  },
});

const compare = async (name: string): Promise<string> => {
  const { load, per, units } = findLoad(name);
  await using rig = await openRig();
  await using opened = new AsyncDisposableStack();
  const roots = ['', ...values.with];
  const subjects = await Promise.all(
    roots.map(async (root) => opened.use(await rig.start('service, Redis', { root }))),
  );
  const costs: number[][] = roots.map(() => []);
  for (let round = 0; round <= Number(values.rounds); round++) {
    for (const [index, subject] of subjects.entries()) {
      const { count, cpuSeconds } = await load(rig, subject, Number(values.seconds));
      if (round > 0) costs[index]?.push((cpuSeconds * 1e6) / (count * units)); // the first round warms up
    }
  }
  const own = costs[0] ?? [];
  const toLine = (root: string, index: number): string => {
    const ratio = median((costs[index] ?? []).map((cost, round) => cost / (own[round] ?? NaN)));
    return `${median(costs[index] ?? [])
      .toFixed(1)
      .padStart(9)}  ${ratio.toFixed(3)}  ${root || 'this working copy'}`;
  };
  return [`${name}: CPU in µs per ${per}, and as a multiple of this working copy’s`, ...roots.map(toLine), ''].join(
    '\n',
  );
};

moveAside();
for (const name of positionals.length > 0 ? positionals : Object.keys(LOADS)) {
  process.stdout.write(`${await compare(name)}\n`);
}
