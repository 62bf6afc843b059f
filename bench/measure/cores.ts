import { execFileSync, spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';

/** Whether what is measured gets a core of its own: two cores are needed, and `taskset`. */
export const canPin = availableParallelism() >= 2 && spawnSync('taskset', ['--version']).status === 0;

const MEASURED_CORE = '0';
const OTHER_CORE = '1';

/** This process, and all that it starts from now on, on the core beside the measured one. */
export const moveAside = (): void => {
  if (canPin) execFileSync('taskset', ['-a', '-p', '-c', OTHER_CORE, String(process.pid)]);
};

/** The command that runs on the measured core. */
export const onMeasuredCore = (command: readonly string[]): readonly string[] =>
  canPin ? ['taskset', '-c', MEASURED_CORE, ...command] : command;
