import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Whether this machine has one; `tell-what-is-missing.ts` says what to do where it has none. */
export const hasNginx = spawnSync('nginx', ['-v']).status === 0;

const ROOT = new URL('../../', import.meta.url);
const PATIENCE_MS = 10_000;

export interface Nginx extends AsyncDisposable {
  readonly url: string;
}

/** A file of the project as it stands, with these ports in the place of its own; there is an instance for each server. */
export const startNginx = async (path: string, port: number, instances: readonly number[]): Promise<Nginx> => {
  const folder = await mkdtemp(join(tmpdir(), 'chat-nginx-'));
  await mkdir(join(folder, 'temp'));
  const left = [...instances];
  const sample = (await readFile(new URL(path, ROOT), 'utf8'))
    .replace(/listen \d+;/, `listen 127.0.0.1:${port};`)
    .replaceAll(/^  server [\w.-]+:\d+;$/gm, () => `  server 127.0.0.1:${left.shift()};`);
  await writeFile(join(folder, 'nginx.conf'), toMain(folder, sample));
  const child = spawn('nginx', ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', 'stderr'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const exited = once(child, 'exit');
  await answers(`http://127.0.0.1:${port}/health/live`, exited, () => said);
  return {
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGTERM');
      await exited;
      await rm(folder, { recursive: true });
    },
  };
};

/** What Debian's main file has around the samples, with every path in a folder of its own. */
const toMain = (folder: string, sample: string): string => {
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${folder}/temp;`);
  return `daemon off;
master_process off;
pid ${folder}/nginx.pid;
events {}
http {
${temp.join('\n')}
access_log off;
${sample}
}
`;
};

/** Asks until it is answered, or nginx has gone. */
const answers = async (url: string, exited: Promise<unknown>, toReason: () => string): Promise<void> => {
  const patience = new AbortController();
  const gone = exited.then(() => patience.abort(new Error(`nginx does not run: ${toReason()}`)));
  const signal = AbortSignal.any([patience.signal, AbortSignal.timeout(PATIENCE_MS)]);
  for (;;) {
    const response = await fetch(url, { signal }).catch(() => undefined);
    if (response?.ok) return;
    signal.throwIfAborted();
    void gone;
  }
};
