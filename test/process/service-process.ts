import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const MAIN = join(ROOT, 'src/main.ts');

/** What is said in these tests, and their keys, hold it: no process may ever print it. */
export const CANARY = 'canary';
export const KEY = `alice.${CANARY}-${'k'.repeat(40)}`;

const WAIT_MS = 15_000;
/** To its end, which is the end of what a start prints. */
const WELCOME = /browser:[\s\S]*\n\n {2}\S[\s\S]*\n\n$/;

/** A folder that goes with the test: the process runs in it, and keeps its data below it. */
export interface WorkFolder extends AsyncDisposable {
  readonly path: string;
  writeEnv(text: string): Promise<void>;
}

export const makeWorkFolder = async (): Promise<WorkFolder> => {
  const path = await mkdtemp(join(tmpdir(), 'chat-process-'));
  return {
    path,
    writeEnv: (text) => writeFile(join(path, '.env'), text),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true }),
  };
};

/** A port where nothing listens. */
export const findFreePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address ? address.port : 0;
};

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** What is started, when it is not `src/main.ts` with the Node of this test. */
export interface Program {
  /** The program and its arguments. */
  readonly command: readonly string[];
  /** The user and group it runs as; the present ones when absent. */
  readonly uid?: number;
  readonly gid?: number;
}

/** The service as a process of its own, in `folder`, with no setting but those given. */
export class ServiceProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #exited: Promise<Exit>;
  readonly #onOutput = new Set<() => void>();
  #stdout = '';
  #stderr = '';

  private constructor(child: ChildProcess) {
    this.#child = child;
    const closed = once(child, 'close'); // both streams have ended then
    this.#exited = closed.then(() => ({ code: child.exitCode, signal: child.signalCode }));
    child.stdout?.setEncoding('utf8').on('data', (text: string) => this.#add(() => (this.#stdout += text)));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => this.#add(() => (this.#stderr += text)));
  }

  /** Where nothing is said of it, there is no Ollama. */
  static async spawn(
    folder: WorkFolder,
    settings: Readonly<Record<string, string>> = {},
    { command, ...user }: Program = toMain(settings),
  ): Promise<ServiceProcess> {
    const ollama = { OLLAMA_BASE_URL: `http://127.0.0.1:${await findFreePort()}` };
    const child = spawn(command[0] ?? '', command.slice(1), {
      ...user,
      cwd: folder.path,
      env: { PATH: process.env['PATH'], PORT: '0', ...ollama, ...settings },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return new ServiceProcess(child);
  }

  /** As `spawn`, and waits until it listens and has told how it is. */
  static async start(
    folder: WorkFolder,
    settings: Readonly<Record<string, string>> = {},
    program: Program = toMain(settings),
  ): Promise<ServiceProcess> {
    await using opened = new AsyncDisposableStack(); // a start that fails leaves nothing behind
    const service = opened.use(await ServiceProcess.spawn(folder, settings, program));
    await service.prints(settings['NODE_ENV'] === 'production' ? /"msg":"ready"/ : WELCOME);
    opened.move();
    return service;
  }

  /** As its log says: behind a shell it is not the child's. */
  get pid(): number {
    return Number(/"pid":(\d+)/.exec(this.#stdout)?.[1] ?? this.#child.pid);
  }

  get stdout(): string {
    return this.#stdout;
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** Without a slash at its end. */
  get url(): string {
    return /Server listening at (http:\/\/[^"\s]+)/.exec(this.#stdout)?.[1] ?? 'not listening';
  }

  /** The lines of the log. */
  get log(): readonly Record<string, unknown>[] {
    return this.#stdout
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line));
  }

  /** Resolves when standard output matches. */
  async prints(pattern: RegExp): Promise<RegExpExecArray> {
    const { promise, resolve, reject } = Promise.withResolvers<RegExpExecArray>();
    const fail = (why: string): void =>
      reject(new Error(`${why} before ${pattern} was printed:\n${this.#stdout}\n${this.#stderr}`));
    const look = (): void => {
      const match = pattern.exec(this.#stdout);
      if (match) resolve(match);
    };
    const limit = setTimeout(() => fail('time was over'), WAIT_MS);
    this.#onOutput.add(look);
    void this.#exited.then(() => fail('the process ended'));
    look();
    try {
      return await promise;
    } finally {
      clearTimeout(limit);
      this.#onOutput.delete(look);
    }
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** How it ended, when it has. */
  exited(): Promise<Exit> {
    return this.#exited;
  }

  /** Sends the signal, and waits for the end. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Exit> {
    this.kill(signal);
    return this.#exited;
  }

  /** Leaves nothing behind; and looks through all that was printed. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.pid !== this.#child.pid) process.kill(this.pid, 'SIGKILL');
    await this.stop('SIGKILL');
    const line = `${this.#stdout}\n${this.#stderr}`.split('\n').find((each) => each.includes(CANARY));
    if (line !== undefined) throw new Error(`The service printed what was said, or a key: ${line}`);
  }

  #add(append: () => void): void {
    append();
    for (const listener of this.#onOutput) listener();
  }
}

/** npm puts a shell in between, and says so in a variable. */
const toMain = (settings: Readonly<Record<string, string>>): Program => ({
  command:
    settings['npm_lifecycle_event'] === undefined
      ? [process.execPath, MAIN]
      : ['sh', '-c', `'${process.execPath}' '${MAIN}'; exit $?`],
});
