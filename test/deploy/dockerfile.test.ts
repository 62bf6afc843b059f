import { execFile } from 'node:child_process';
import { chown, copyFile, cp, mkdir, readdir, readFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { ask, read } from '../process/client.ts';
import { findFreePort, KEY, makeWorkFolder, ServiceProcess } from '../process/service-process.ts';
import { ScriptedOllama } from '../support/scripted-ollama/scripted-ollama.ts';
import { all, last, readDockerfile, toExecForm, toVariables, type Instruction, type Stage } from './dockerfile.ts';
import { FROM_CACHE, INSTALL_MS, runLine } from './npm.ts';

const ROOT = new URL('../../', import.meta.url);
const stages = readDockerfile(new URL('Dockerfile', ROOT));
const [dependencies, image] = stages as readonly [Stage, Stage]; // the first test says so

/** What a COPY takes, and where it puts it. */
const toCopy = ({ text, flags }: Instruction) => {
  const words = text.split(/\s+/);
  return { from: flags['from'], sources: words.slice(0, -1), target: words.at(-1) ?? '' };
};
const copiesOf = (stage: Stage) => all(stage, 'COPY').map(toCopy);

describe('the Dockerfile', () => {
  it('has two stages, both of Node 24, named by a tag', () => {
    expect(stages.map((stage) => stage.image)).toEqual([expect.stringMatching(/^node:24[\w.-]*$/), dependencies.image]);
  });

  it('copies only what exists: of the project, or of an earlier stage', () => {
    const copies = stages.flatMap(copiesOf);
    const sources = copies.flatMap((copy) => (copy.from === undefined ? copy.sources : []));
    expect(sources.filter((source) => !existsSync(new URL(source, ROOT)))).toEqual([]);
    expect(new Set(copies.map(({ from }) => from))).toEqual(new Set([undefined, dependencies.name]));
  });

  it('gets from .dockerignore all that it copies, and nothing else', async () => {
    const lines = (await readFile(new URL('.dockerignore', ROOT), 'utf8')).split('\n');
    const [everything, ...named] = lines.filter((line) => line !== '' && !line.startsWith('#'));
    const copied = stages.flatMap(copiesOf).flatMap(({ from, sources }) => (from === undefined ? sources : []));
    expect(everything).toBe('*');
    expect(new Set(named)).toEqual(new Set(copied.map((source) => `!${source}`)));
  });

  it('runs as a user without rights, by number, so that a host can see that it is not root', () => {
    const [user, group] = last(image, 'USER').text.split(':').map(Number);
    expect(user).toBeGreaterThanOrEqual(10_000);
    expect(group).toBeGreaterThanOrEqual(10_000);
  });

  it('starts and checks the service without a shell, so that signals arrive', () => {
    expect(toExecForm(last(image, 'CMD').text)).toEqual(['node', 'src/main.ts']);
    expect(toExecForm(last(image, 'HEALTHCHECK').text.replace(/^CMD /, ''))[0]).toBe('node');
    expect(image.instructions.map(({ name }) => name)).not.toContain('ENTRYPOINT');
  });

  it('is of production', () => {
    expect(toVariables(image)).toMatchObject({ NODE_ENV: 'production', HOST: '0.0.0.0' });
  });
});

const DEVELOPMENT = ['node', 'vitest', 'typescript', 'oxlint', '@types'];

/** Where root runs this, the service gets the user of the image, who may write nothing that is root's. */
const toUser = (): { readonly uid?: number; readonly gid?: number } => {
  const [uid = 0, gid = 0] = last(image, 'USER').text.split(':').map(Number);
  return process.getuid?.() === 0 ? { uid, gid } : {};
};

/** Does in `folder` what the Dockerfile does in the image, and takes away the right to write. */
const build = async (folder: string): Promise<void> => {
  const copyAll = async (stage: Stage, target: string): Promise<void> => {
    for (const copy of copiesOf(stage)) {
      const from = copy.from === undefined ? fileURLToPath(ROOT) : join(folder, 'dependencies');
      for (const source of copy.sources) {
        const name = source.replace(/^\/app\//, '');
        await cp(join(from, name), join(target, name), { recursive: true, verbatimSymlinks: true });
      }
    }
  };
  await mkdir(join(folder, 'dependencies'));
  await copyAll(dependencies, join(folder, 'dependencies'));
  await runLine(`${last(dependencies, 'RUN').text} ${FROM_CACHE}`, join(folder, 'dependencies'));
  await mkdir(join(folder, 'app'));
  await copyAll(image, join(folder, 'app'));
  await copyFile(process.execPath, join(folder, 'node')); // the image's own; the tests' may lie where others cannot look
  await runLine('chmod -R a-w,a+rX . && chmod a+x node', folder);
};

describe('what the Dockerfile makes', () => {
  it(
    'has no tools of development, cannot write its own files, answers, and ends at SIGTERM',
    async () => {
      await using opened = new AsyncDisposableStack();
      const folder = opened.use(await makeWorkFolder());
      const data = opened.use(await makeWorkFolder());
      opened.defer(() => runLine('chmod -R u+w .', folder.path).then(() => undefined));
      await build(folder.path);
      const app = { ...folder, path: join(folder.path, 'app') };
      const installed = (await readdir(join(app.path, 'node_modules'))).filter((name) => DEVELOPMENT.includes(name));
      expect(installed).toEqual([]);
      const user = toUser();
      if (user.uid !== undefined) await chown(data.path, user.uid, -1);

      const ollama = opened.use(await ScriptedOllama.start({ models: [{ name: 'llama3' }] }));
      const settings = {
        ...toVariables(image),
        PORT: String(await findFreePort()),
        DATA_DIR: data.path,
        API_KEYS: KEY,
        OLLAMA_BASE_URL: ollama.url,
      };
      const inImage = (words: readonly string[]) =>
        words.map((word) => (word === 'node' ? join(folder.path, 'node') : word));
      const command = inImage(toExecForm(last(image, 'CMD').text));
      const service = opened.use(await ServiceProcess.start(app, settings, { command, ...user }));

      const [node = ''] = command;
      const scribble = promisify(execFile)(node, ['-e', `fs.writeFileSync('src/main.ts', '')`], {
        cwd: app.path,
        ...user,
      });
      await expect(scribble).rejects.toMatchObject({ stderr: expect.stringMatching(/EACCES|EROFS/) });

      const url = `http://127.0.0.1:${settings.PORT}`;
      const question = { conversation_id: 'c1', user_input: 'Hello!' };
      expect(await ask(url, question, { authorization: `Bearer ${KEY}` })).toMatchObject({ status: 200 });
      expect(await read(`${url}/health/ready`)).toMatchObject({ status: 200 });
      const [program = '', ...words] = inImage(toExecForm(last(image, 'HEALTHCHECK').text.replace(/^CMD /, '')));
      const check = () => promisify(execFile)(program, words, { env: settings, ...user });
      await check(); // rejects unless it exits with 0

      expect(await service.stop('SIGTERM')).toEqual({ code: 0, signal: null });
      await expect(check()).rejects.toMatchObject({ code: 1 });
      expect(service.stderr).toBe('');
    },
    INSTALL_MS,
  );
});
