import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { findLoad, LOADS, type Done } from './cases/loads.ts';
import { moveAside } from './measure/cores.ts';
import { openRig } from './measure/rig.ts';
import { parseProfile, toGroups, toOwners, toTop, type Cost, type Costs } from './measure/cpu-profile.ts';

/**
 * `node bench/profile.ts short-replies`: where the CPU of the service on Redis goes, by function and by part. With
 * `--of <folder>` it is another working copy's service.
 */

const SECONDS = 10;
const WARM_UP_SECONDS = 4;
const LINES = 40;

const nowUs = (): number => Number(process.hrtime.bigint() / 1000n);

const profile = async (name: string, root: string): Promise<string> => {
  const { load, per, units } = findLoad(name);
  const folder = await mkdtemp(join(tmpdir(), 'chat-profile-'));
  await using rig = await openRig();
  const window = { from: 0, to: 0 };
  let done: Done;
  {
    const flags = ['--cpu-prof', `--cpu-prof-dir=${folder}`];
    await using subject = await rig.start('service, Redis', { flags, root });
    await load(rig, subject, WARM_UP_SECONDS);
    window.from = nowUs();
    done = await load(rig, subject, SECONDS);
    window.to = nowUs();
  } // the profile is written at the end of the process
  const [file = ''] = await readdir(folder);
  const costs = parseProfile(await readFile(join(folder, file), 'utf8'), window);
  await rm(folder, { recursive: true });
  const usPerUnit = (done.cpuSeconds * 1e6) / (done.count * units);
  return toText({ title: `${name}: ${usPerUnit.toFixed(1)} µs per ${per}, of that`, costs, usPerUnit });
};

interface Text {
  readonly title: string;
  readonly costs: readonly Costs[];
  readonly usPerUnit: number;
}

/** A sample says who ran, and not for how long the machine let it: the shares are scaled to the CPU that was used. */
const toText = ({ title, costs, usPerUnit }: Text): string => {
  const total = costs.reduce((sum, { us }) => sum + us, 0);
  const toLine = ({ name, us }: Cost): string => `${((us / total) * usPerUnit).toFixed(2).padStart(9)}  ${name}`;
  const toPart = (about: string, list: readonly Cost[]): string =>
    [`\n  ${about}`, ...list.slice(0, LINES).map(toLine)].join('\n');
  return [
    title,
    toPart('by part', toGroups(costs)),
    toPart('by function, itself', toTop(costs)),
    toPart('by function of ours, with what it called that is not ours', toOwners(costs)),
    '',
  ].join('\n');
};

moveAside();
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { of: { type: 'string', default: '' } },
});
for (const name of positionals.length > 0 ? positionals : Object.keys(LOADS)) {
  process.stdout.write(`${await profile(name, values.of)}\n`);
}
