import { readFileSync } from 'node:fs';

/** Of Linux, as `getconf CLK_TCK` has it on all of its machines. */
const TICKS_PER_SECOND = 100;
const PAGE_BYTES = 4096;
/** Behind the name of `/proc/<pid>/stat`, which may hold spaces: user and system time. */
const USER_TICKS = 11;
const SYSTEM_TICKS = 12;

/** Seconds of CPU that a process has used since its start, its threads and the kernel's work for it included. */
export const readCpuSeconds = (pid: number): number => {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[USER_TICKS]) + Number(fields[SYSTEM_TICKS])) / TICKS_PER_SECOND;
};

/** Bytes that a process has in memory. */
export const readRssBytes = (pid: number): number =>
  Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]) * PAGE_BYTES;

/** Seconds that all of the machine's cores were busy since its start. */
const readBusySeconds = (): number => {
  const [user = 0, nice = 0, system = 0, , , interrupts = 0, softInterrupts = 0] = readFileSync('/proc/stat', 'utf8')
    .slice('cpu '.length, 200)
    .trim()
    .split(/\s+/)
    .map(Number);
  return (user + nice + system + interrupts + softInterrupts) / TICKS_PER_SECOND;
};

/** Processes by what they are for; an instance may be several. */
export type Pids = Readonly<Record<string, readonly number[]>>;
/** Seconds of CPU by the same names; `others` is what everybody else on the machine has used. */
export type CpuSeconds = Readonly<Record<string, number>>;

/** Measures the CPU from now on: each call says what was used since `startCpuMeter`. */
export const startCpuMeter = (pids: Pids): (() => CpuSeconds) => {
  const read = (): CpuSeconds => {
    const named = Object.entries(pids).map(([name, each]) => [name, sum(each.map(readCpuSeconds))] as const);
    return { ...Object.fromEntries(named), others: readBusySeconds() - sum(named.map(([, seconds]) => seconds)) };
  };
  const before = read();
  return () => Object.fromEntries(Object.entries(read()).map(([name, now]) => [name, now - (before[name] ?? 0)]));
};

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);
