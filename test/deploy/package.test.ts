import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SETTING_NAMES } from '../../src/config-settings.ts';
import { ask } from '../process/client.ts';
import { findFreePort, makeWorkFolder, ServiceProcess, type WorkFolder } from '../process/service-process.ts';
import { ScriptedOllama } from '../support/scripted-ollama/scripted-ollama.ts';
import { environment, FROM_CACHE, INSTALL_MS, runLine } from './npm.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const run = promisify(execFile);

/** A program that uses the package: what stands here is what README.md shows, and a little more. */
const CONSUMER = `
import { LLMChatService, LLMError, ConfigError, openChatService, parseConfig, type Reply, type Result } from 'llm-chat-service';

const chat = await openChatService(parseConfig({ LLM_MODEL: 'llama3', LOG_LEVEL: 'warn', OLLAMA_BASE_URL: OLLAMA }));
await chat.initialize();
const answer: Result<Reply> = await chat.generateResponse('c1', 'Hello', { maxTokens: 200 });
if (!answer.success) throw new Error(answer.error);
let text = '';
for await (const update of chat.streamResponse('c1', 'And more?')) {
  if (update.type !== 'entries') continue;
  for (const { event } of update.entries) if (event.type === 'text-delta') text += event.text;
}
await chat.close();
const problem = ((): unknown => {
  try {
    return parseConfig({ PORT: 'many' });
  } catch (error) {
    return error instanceof ConfigError && !(error instanceof LLMError) && error.problems.length;
  }
})();
process.stdout.write(JSON.stringify([chat instanceof LLMChatService, answer.response, text, problem]));
`;

/** What the types refuse: that they do shows that they are there. */
const WRONG = `
import { openChatService, parseConfig } from 'llm-chat-service';

const chat = await openChatService(parseConfig({}));
await chat.generateResponse('c1', 1);
const answer = await chat.generateResponse('c1', 'Hello');
answer.model;
`;

/** As strict as can be, the declarations of the package and of all behind it included. */
const COMPILER_OPTIONS = {
  strict: true,
  module: 'nodenext',
  noEmit: true,
  skipLibCheck: false,
  types: ['node'],
  typeRoots: [join(ROOT, 'node_modules/@types')],
};

let folder: WorkFolder;
let tarball: string;

beforeAll(async () => {
  folder = await makeWorkFolder();
  await mkdir(join(folder.path, 'packed'));
  await runLine(`npm pack --pack-destination '${join(folder.path, 'packed')}'`, ROOT);
  tarball = join(folder.path, 'packed', (await runLine('ls', join(folder.path, 'packed'))).trim());
  await writeFile(join(folder.path, 'package.json'), '{ "private": true, "type": "module" }');
  await runLine(`npm i '${tarball}' --ignore-scripts ${FROM_CACHE}`, folder.path);
}, INSTALL_MS);
afterAll(() => folder[Symbol.asyncDispose]());

const npx = (words: string): Promise<string> => runLine(`npx llm-chat-service ${words}`, folder.path);
const manifest = async () => JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'));

describe('the package', () => {
  it('holds what is built and what it reads, and nothing else', async () => {
    const names = (await runLine(`tar -tzf '${tarball}'`, folder.path)).trim().split('\n');
    const others = names.filter((name) => !/^package\/dist\/[\w./-]+(?:\.js|\.d\.ts|\.lua)$/.test(name));
    expect(others.toSorted()).toEqual(
      ['.env.example', 'LICENSE', 'README.md', 'asyncapi.yaml', 'openapi.yaml', 'package.json'].map(
        (name) => `package/${name}`,
      ),
    );
    const scripts = await runLine('ls', join(ROOT, 'src/stores/redis/scripts'));
    for (const script of scripts.trim().split('\n'))
      expect(names).toContain(`package/dist/stores/redis/scripts/${script}`);
  });

  it('needs the Node that it says it needs', async () => {
    const { engines } = await manifest();
    const pretend = (version: string) => `Object.defineProperty(process.versions, 'node', { value: '${version}' })`;
    const bin = join(folder.path, 'node_modules/llm-chat-service/dist/bin.js');
    const start = (version: string) =>
      run(process.execPath, ['--import', `data:text/javascript,${pretend(version)}`, bin, '--version']);
    const [, major, minor] = /^>=(\d+)\.(\d+)$/.exec(engines.node) ?? [];
    for (const enough of [`${major}.${minor}.0`, `${Number(major) + 1}.0.0`])
      expect((await start(enough)).stderr).toBe('');
    for (const old of [`${major}.${Number(minor) - 1}.9`, `${Number(major) - 1}.99.0`, '20.20.2']) {
      await expect(start(old)).rejects.toMatchObject({
        code: 1,
        stdout: '',
        stderr: `llm-chat-service needs Node ${major}.${minor} or newer; this is ${old}. Get it from https://nodejs.org\n`,
      });
    }
  });
});

describe('npx llm-chat-service', () => {
  it('--version prints the version of the package', async () => {
    expect(await npx('--version')).toBe(`${(await manifest()).version}\n`);
  });

  it('--help tells every setting', async () => {
    const help = await npx('--help');
    for (const name of SETTING_NAMES) expect(help).toContain(`  --${name.toLowerCase().replaceAll('_', '-')} <`);
  });

  it('refuses a flag that there is not, in one line and without a stack', async () => {
    await expect(npx('--prot 8080')).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^--prot is not a flag; did you mean --port\?\n(?![\s\S]*^\s+at )/m),
    });
  });

  it('answers over HTTP, with flags before the environment, and ends at SIGTERM', async () => {
    await using ollama = await ScriptedOllama.start({ models: [{ name: 'tiny' }] });
    const port = await findFreePort();
    const program = [process.execPath, 'node_modules/llm-chat-service/dist/bin.js'];
    await using service = await ServiceProcess.start(
      folder,
      { PORT: '1', LLM_MODEL: 'other', OLLAMA_BASE_URL: ollama.url },
      { command: [...program, '--port', String(port), '--llm-model=tiny'] },
    );
    expect(service.url).toBe(`http://127.0.0.1:${port}`);
    expect(await ask(service.url, { conversation_id: 'c1', user_input: 'Hello!' })).toMatchObject({
      status: 200,
      body: { success: true, model: 'tiny' },
    });
    expect(await service.stop('SIGTERM')).toEqual({ code: 0, signal: null });
  });

  it('runs until npx is stopped', async () => {
    await using service = await ServiceProcess.start(
      folder,
      { ...(environment() as Record<string, string>), PORT: '1' }, // what is undefined is left out by Node
      { command: ['npx', 'llm-chat-service', '--port', '0'] },
    );
    expect(await ask(service.url, { conversation_id: 'c2', user_input: 'Hello!' })).toMatchObject({ status: 200 });
    await service.stop('SIGTERM');
    expect(service.log.at(-1)).toMatchObject({ msg: 'stopped' });
  });
});

describe("import 'llm-chat-service'", { timeout: INSTALL_MS }, () => {
  const write = async (name: string, text: string): Promise<void> => {
    await writeFile(join(folder.path, name), text);
    await writeFile(
      join(folder.path, 'tsconfig.json'),
      JSON.stringify({ compilerOptions: COMPILER_OPTIONS, files: [name] }),
    );
  };
  const check = () =>
    run(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', '.'], { cwd: folder.path });

  it('gives the service without a wire, with types', async () => {
    await using ollama = await ScriptedOllama.start({ models: [{ name: 'llama3' }] });
    await write('consumer.ts', CONSUMER.replace('OLLAMA }', `'${ollama.url}' }`));
    await check(); // rejects where a type is wrong
    const { stdout, stderr } = await run(process.execPath, ['consumer.ts'], { cwd: folder.path });
    expect(stderr).toBe('');
    const said = expect.stringMatching(/ 12$/);
    expect(JSON.parse(stdout)).toEqual([true, said, said, 1]);
  });

  it('has types that refuse what is wrong', async () => {
    await write('wrong.ts', WRONG);
    await expect(check()).rejects.toMatchObject({
      stdout: expect.stringMatching(/^wrong\.ts\(5,[\s\S]*^wrong\.ts\(7,/m),
    });
  });
});
