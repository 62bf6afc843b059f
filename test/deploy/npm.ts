import { execFile } from 'node:child_process';
import { dirname } from 'node:path';
import { promisify } from 'node:util';

/** What an outer npm leaves in the environment, and what a test run does: a new one is to find nothing of it. */
const OF_AN_OUTER_RUN =
  /^(?:npm_(?:package|lifecycle|command|node|execpath|config_(?:local_)?prefix)|INIT_CWD|NODE_ENV|VITEST)/i;

/** As a shell of its own has them, with the Node of this test before all others. */
export const environment = (): Record<string, string | undefined> => ({
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !OF_AN_OUTER_RUN.test(name))),
  PATH: `${dirname(process.execPath)}:${process.env['PATH']}`,
});

/** Runs a line in a folder as a shell does; gives what it prints. */
export const runLine = async (line: string, cwd: string): Promise<string> =>
  (await promisify(execFile)('sh', ['-e', '-c', line], { cwd, env: environment() })).stdout;

/** npm takes from its cache what is there, and asks the registry for the rest. */
export const FROM_CACHE = '--prefer-offline --no-audit --no-fund';

/** An install takes some seconds; on a machine that is busy, or whose npm has nothing in its cache, more than that. */
export const INSTALL_MS = 180_000;
