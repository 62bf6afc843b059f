import { execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { HTTP_STATUS } from '../src/protocol/errors.ts';
import { SocketClient } from './process/client.ts';
import { makeWorkFolder, ServiceProcess, type WorkFolder } from './process/service-process.ts';
import { ScriptedOllama } from './support/scripted-ollama/scripted-ollama.ts';
import { startTcpProxy } from './support/tcp-proxy.ts';

/** The examples, and what README.md tells people to type, run as they stand. */

const run = promisify(execFile);
const hasPython = spawnSync('python3', ['--version']).status === 0;
const pathOf = (name: string): string => fileURLToPath(new URL(`../${name}`, import.meta.url));
const readme = readFileSync(pathOf('README.md'), 'utf8');
const operations = readFileSync(pathOf('docs/operations.md'), 'utf8');

/** A model with a reply of some twenty words, slow enough to be interrupted. */
const startOllama = (): Promise<ScriptedOllama> => ScriptedOllama.start({ models: [{ name: 'llama3' }], paceMs: 15 });

const startService = (folder: WorkFolder, ollama: ScriptedOllama): Promise<ServiceProcess> =>
  ServiceProcess.start(folder, { OLLAMA_BASE_URL: ollama.url });

/** What a reader puts an id in the place of. */
const SOME_ID = 'MESSAGE_ID';

/** The code blocks of a page in one language. */
const blocks = (language: string, page = readme): readonly string[] =>
  [...page.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map((match) => match[1] ?? '');

const at = (text: string, { url }: ServiceProcess): string => text.replaceAll('localhost:3000', new URL(url).host);

/** Runs a command in a folder, as a shell does. `npx node` is the Node that runs this test. */
const runInShell = async (command: string, cwd: string): Promise<string> => {
  const text = command.replaceAll('npx node', `'${process.execPath}'`);
  return (await run('sh', ['-e', '-c', text], { cwd, env: { PATH: process.env['PATH'] } })).stdout;
};

describe('the examples', () => {
  it('library.ts creates, asks, streams, cancels and closes', async () => {
    await using ollama = await startOllama();
    await using folder = await makeWorkFolder();
    const env = { OLLAMA_BASE_URL: ollama.url, DATA_DIR: folder.path };
    const { stdout, stderr } = await run(process.execPath, [pathOf('examples/library.ts')], { env });
    expect(stderr).toBe('');
    expect(stdout.split('\n')).toEqual([
      'created: true',
      expect.stringMatching(/^answer: I \[\w+\] am a scripted model and count: 1 .* 12$/),
      expect.stringMatching(/^stream: I \[\w+\] am a scripted model and count: 1 .* 12$/),
      'ended: stop',
      'cancelled: true',
      'messages: 6',
      '',
    ]);
  });

  it('socket-client.ts loses its connection, and not a word', async () => {
    await using ollama = await startOllama();
    await using folder = await makeWorkFolder();
    await using service = await startService(folder, ollama);
    const url = `${service.url.replace('http', 'ws')}/ws`;
    const { stdout } = await run(process.execPath, [pathOf('examples/socket-client.ts'), url]);
    const [said, broken, ...rest] = stdout.split('\n');
    expect(broken).toMatch(/^\[connection lost behind event \d+; trying again in 100 ms\]$/);
    expect(`${said}${rest[0]}`).toMatch(/^I \[\w+\] am a scripted model and count: 1 2 3 4 5 6 7 8 9 10 11 12$/);
    expect(rest.slice(1)).toEqual(['[complete: nothing lost, nothing twice]', '']);
  });

  it.skipIf(!hasPython)('client.py loses its connection, and not a word', async () => {
    await using ollama = await startOllama();
    await using folder = await makeWorkFolder();
    await using service = await startService(folder, ollama);
    await using proxy = await startTcpProxy(Number(new URL(service.url).port));
    const child = spawn('python3', [pathOf('examples/client.py'), proxy.url.replace('redis', 'http'), 'Count']);
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (!said.includes('count') && (said + text).includes('count')) proxy.tear();
      said += text;
    });
    const [status] = await once(child, 'exit');
    expect(said).toMatch(/^I \[\w+\] am a scripted model and count: 1 2 3 4 5 6 7 8 9 10 11 12\nThe end\.\n$/);
    expect(ollama.ledger.chats).toHaveLength(1);
    expect(status).toBe(0);
  });
});

describe('README.md', () => {
  it('has curls that work', async () => {
    await using ollama = await startOllama();
    await using folder = await makeWorkFolder();
    await using service = await startService(folder, ollama);
    const commands = blocks('sh').filter((block) => block.startsWith('curl') && !block.includes(SOME_ID));
    const outputs: string[] = [];
    for (const command of commands) outputs.push(await runInShell(at(command, service), folder.path));
    const [plain, streamed, background] = outputs;
    expect(JSON.parse(plain ?? '')).toMatchObject({ success: true, response: expect.stringContaining('12') });
    expect(streamed).toMatch(/^event: llm_accepted$[\s\S]*^event: llm_delta$[\s\S]*^event: llm_response$/m);
    expect(background).toMatch(
      /"duplicate":false[\s\S]*"duplicate":true[\s\S]*event: llm_response[\s\S]*"messages":\[/,
    );
    expect(outputs).toHaveLength(3);
  });

  it('has curls that ask again', async () => {
    await using ollama = await ScriptedOllama.start({ models: [{ name: 'llama3', prefill: 'continues' }] });
    await using folder = await makeWorkFolder();
    await using service = await startService(folder, ollama);
    const [ask = ''] = blocks('sh').filter((block) => block.startsWith('curl'));
    const cut = ask.replace('"user_input"', '"max_tokens":3,"user_input"');
    const commands = blocks('sh').filter((block) => block.startsWith('curl') && block.includes(SOME_ID));
    let last = JSON.parse(await runInShell(at(cut, service), folder.path));
    const [continued, regenerated, edited] = commands;
    for (const command of [continued, regenerated]) {
      const text = (command ?? '').replaceAll(SOME_ID, last.continues ?? last.message_id);
      last = JSON.parse(await runInShell(at(text, service), folder.path));
      expect(last).toMatchObject({ success: true });
    }
    const list = 'curl -s http://localhost:3000/conversations/c1/messages';
    const [question] = JSON.parse(await runInShell(at(list, service), folder.path)).messages;
    const text = (edited ?? '').replaceAll(SOME_ID, question.message_id);
    expect(JSON.parse(await runInShell(at(text, service), folder.path))).toMatchObject({ success: true });
    expect(commands).toHaveLength(3);
  });

  it('has lines for a console that work', async () => {
    await using ollama = await startOllama();
    await using folder = await makeWorkFolder();
    await using service = await startService(folder, ollama);
    const [lines = ''] = blocks('js');
    const { promise, resolve } = Promise.withResolvers<void>();
    const log = (text: string): void => {
      if (text.includes('"llm_response"')) resolve();
    };
    const socket: WebSocket = runInNewContext(`${at(lines, service)}; ws`, { WebSocket, console: { log } });
    await promise;
    socket.close();
    expect(lines).toContain('llm_request');
  });

  it('has a frame to type that works', async () => {
    await using ollama = await startOllama();
    await using folder = await makeWorkFolder();
    await using service = await startService(folder, ollama);
    using client = new SocketClient(service.url);
    const { event, data } = JSON.parse(blocks('json')[0] ?? '');
    await client.send(event, data);
    expect((await client.nextEvent('llm_response')).data).toMatchObject({ conversation_id: data.conversation_id });
  });

  it('has a backup of a running service that works, and can be put in its place', async () => {
    await using ollama = await startOllama();
    await using folder = await makeWorkFolder();
    await using service = await startService(folder, ollama);
    const [ask = ''] = blocks('sh').filter((block) => block.startsWith('curl'));
    await runInShell(at(ask, service), folder.path);
    const [backup = ''] = blocks('sh', operations).filter((block) => block.includes('backup('));
    await runInShell(backup, folder.path);
    await service.stop();
    await runInShell('rm -r data; mkdir data; mv backup.sqlite data/chat.sqlite', folder.path);

    await using restored = await startService(folder, ollama);
    const { stdout } = await run('curl', ['-s', `${restored.url}/conversations/c1`]);
    expect(JSON.parse(stdout)).toMatchObject({ success: true, message_count: 2 });
  });

  it('tells every code that there is', () => {
    const later = ['recovery_exhausted']; // nothing gives it yet
    const told = [...readme.matchAll(/^\| (`[a-z_`, ]+`) \| (\d{3}) \|/gm)].flatMap(([, codes = '', status]) =>
      codes.split(', ').map((code) => [code.replaceAll('`', ''), Number(status)] as const),
    );
    expect(Object.fromEntries(told)).toEqual(
      Object.fromEntries(Object.entries(HTTP_STATUS).filter(([code]) => !later.includes(code))),
    );
  });
});

describe('what is made from the code', () => {
  it('is as the code says (npm run docs)', async () => {
    const { stdout } = await run(process.execPath, [pathOf('scripts/write-docs.ts'), '--check']).catch(
      (error: { stdout: string }) => error,
    );
    expect(stdout).toBe('');
  });
});
