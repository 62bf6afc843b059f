import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { isAbsolute, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { onMeasuredCore } from './cores.ts';

const START_MS = 20_000;
const ASK_MS = 50;
/** A service lets running replies end for a while, and closes its store. */
const STOP_MS = 20_000;

export interface ChildOptions {
  /** Below the root of the project, or anywhere. */
  readonly file: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Of Node itself. */
  readonly flags?: readonly string[];
  /** Where it runs; here by default. */
  readonly folder?: string;
  readonly isMeasured?: boolean;
  /** How many files and sockets it may have open; what this process may, by default. */
  readonly openFiles?: number;
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
// Node ends at a signal without an `exit`: nobody would be left to end what was started.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

/** A process of the benchmark: what is measured, or what measures. */
export class Child implements AsyncDisposable {
  readonly process: ChildProcess;
  readonly name: string;
  #output = '';

  constructor({ file, environment = {}, flags = [], folder, isMeasured = false, openFiles }: ChildOptions) {
    const node = [process.execPath, ...flags, isAbsolute(file) ? file : join(ROOT, file)];
    const pinned = isMeasured ? onMeasuredCore(node) : node;
    const limit = openFiles === undefined ? 'true' : `ulimit -n ${openFiles}`;
    this.name = file;
    // Each `exec` leaves the pid as it is.
    this.process = spawn('sh', ['-c', `${limit}; exec "$@"`, 'sh', ...pinned], {
      env: { PATH: process.env['PATH'], ...environment },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      ...(folder !== undefined && { cwd: folder }),
    });
    running.add(this.process);
    this.process.once('exit', () => running.delete(this.process));
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => this.#add(text));
    }
  }

  get pid(): number {
    return this.process.pid ?? 0;
  }

  /** The end of what it has printed. */
  get output(): string {
    return this.#output;
  }

  /** The port on which a process of the benchmark listens. */
  async listens(): Promise<number> {
    const { promise, resolve } = Promise.withResolvers<number>();
    const look = (message: unknown): void => {
      if (isReady(message)) resolve(message.port);
    };
    this.process.on('message', look);
    try {
      return await Promise.race([promise, this.#failing()]);
    } finally {
      this.process.off('message', look);
    }
  }

  /** Waits until it answers there: the service tells nobody when it is ready. */
  async answers(url: string): Promise<void> {
    const failing = this.#failing();
    const ask = async (): Promise<boolean> => {
      await sleep(ASK_MS);
      return fetch(url).then(
        ({ ok }) => ok,
        () => false,
      );
    };
    while (!(await Promise.race([ask(), failing])));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const exited = once(this.process, 'exit');
    this.process.kill('SIGTERM');
    const limit = setTimeout(() => this.process.kill('SIGKILL'), STOP_MS);
    await exited;
    clearTimeout(limit);
  }

  /** Rejects when it ends, or has had time enough to start. */
  async #failing(): Promise<never> {
    const late = sleep(START_MS, 'was not ready in time', { ref: false });
    const why = await Promise.race([late, once(this.process, 'exit').then(() => 'has ended')]);
    throw new Error(`${this.name} ${why}:\n${this.output}`);
  }

  #add(text: string): void {
    this.#output = (this.#output + text).slice(-8192);
  }
}

const isReady = (message: unknown): message is { readonly type: 'ready'; readonly port: number } =>
  typeof message === 'object' && message !== null && 'type' in message && message.type === 'ready';
