import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { promisify } from 'node:util';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { ScriptedOllama } from '../support/scripted-ollama/scripted-ollama.ts';
import { ask, read } from './client.ts';
import { CANARY, KEY, makeWorkFolder, ServiceProcess } from './service-process.ts';

const run = promisify(execFile);

/** Runs a command as a shell would that it was pasted into. */
const runInShell = async (command: string, variables: Readonly<Record<string, string>> = {}): Promise<string> =>
  (await run('sh', ['-c', command], { env: { PATH: process.env['PATH'], ...variables } })).stdout;

const printedCurl = ({ stdout }: ServiceProcess): string => /curl: +(curl[\s\S]*?'\{.*\}')\n/.exec(stdout)?.[1] ?? '';
const printedConsoleLine = ({ stdout }: ServiceProcess): string =>
  /^ +(ws = new WebSocket.*)$/m.exec(stdout)?.[1] ?? '';

/** Pastes a line into a console; resolves with the first line that it writes and that holds `wanted`. */
const pasteIntoConsole = async (line: string, wanted: string): Promise<string> => {
  const { promise, resolve } = Promise.withResolvers<string>();
  const log = (data: unknown): void => {
    if (String(data).includes(wanted)) resolve(String(data));
  };
  const page = { WebSocket, console: { log }, prompt: () => KEY };
  const socket: WebSocket = runInNewContext(`${line}; ws`, page);
  try {
    return await promise;
  } finally {
    socket.close();
  }
};

describe('a start', () => {
  it('prints last where to click, a curl and a console line, and they work as they stand', async () => {
    await using folder = await makeWorkFolder();
    await using service = await ServiceProcess.start(folder);

    const [, docs] = await service.prints(/Try it: +(\S+)/);
    expect((await fetch(docs ?? '')).status).toBe(200);
    expect(JSON.parse(await runInShell(printedCurl(service)))).toMatchObject({ success: true, model: 'eliza' });
    const ended = await pasteIntoConsole(printedConsoleLine(service), 'llm_response');
    expect(JSON.parse(ended)).toMatchObject({ event: 'llm_response', data: { success: true } });
    const welcome = service.stdout.indexOf('Try it:');
    expect(service.stdout.lastIndexOf('"msg":"ready"')).toBeLessThan(welcome);
    expect(service.stderr).toBe('');
  });

  it('prints a curl and a console line that send a key, where keys are needed', async () => {
    await using folder = await makeWorkFolder();
    await folder.writeEnv(`API_KEYS=${KEY}\n`);
    await using service = await ServiceProcess.start(folder);

    await service.prints(/export KEY='<one of API_KEYS>'/);
    expect(JSON.parse(await runInShell(printedCurl(service), { KEY }))).toMatchObject({ success: true });
    expect(JSON.parse(await runInShell(printedCurl(service)))).toMatchObject({ code: 'unauthorized' });
    const ended = await pasteIntoConsole(printedConsoleLine(service), 'llm_response');
    expect(JSON.parse(ended)).toMatchObject({ data: { success: true } });
  });

  it.each(['0.0.0.0', '::1', 'localhost'])('prints an address that works, listening on %s', async (host) => {
    await using folder = await makeWorkFolder();
    await using service = await ServiceProcess.start(folder, {
      HOST: host,
      ALLOW_ANONYMOUS: String(host === '0.0.0.0'),
    });
    expect(JSON.parse(await runInShell(printedCurl(service)))).toMatchObject({ success: true });
  });

  it('names the model that answers, and where it is', async () => {
    await using ollama = await ScriptedOllama.start({ models: [{ name: 'llama3' }] });
    await using folder = await makeWorkFolder();
    await using service = await ServiceProcess.start(folder, { OLLAMA_BASE_URL: ollama.url });
    await service.prints(new RegExp(`llama3 answers, from ${ollama.url}`));
    expect(service.stdout).not.toContain('ELIZA');
    expect(JSON.parse(await runInShell(printedCurl(service)))).toMatchObject({ success: true, model: 'llama3' });
  });

  it('names the models that there are and the command to type, where the model is missing', async () => {
    await using ollama = await ScriptedOllama.start();
    await using folder = await makeWorkFolder();
    await using service = await ServiceProcess.start(folder, { OLLAMA_BASE_URL: ollama.url });
    await service.prints(/no model llama3 .*tiny-chat, tiny-plain, tiny-vision.*ollama pull llama3\s*$/);
    expect(service.stdout).not.toContain('ELIZA');
    expect(service.log.at(-1)).toMatchObject({ level: 40, msg: 'ready', hint: expect.stringContaining('ollama pull') });
  });

  it('prints nothing but lines of JSON in production', async () => {
    await using folder = await makeWorkFolder();
    await using service = await ServiceProcess.start(folder, { NODE_ENV: 'production' });
    const lines = service.stdout.trim().split('\n');
    expect(lines.map((line) => typeof JSON.parse(line))).toEqual(lines.map(() => 'object'));
    expect(await read(`${service.url}/health/ready`)).toMatchObject({ status: 200 });
  });

  it('reads .env of the folder it runs in, behind the variables of the process', async () => {
    await using folder = await makeWorkFolder();
    await folder.writeEnv(`LLM_MODEL=from-the-file\nLLM_MAX_TOKENS=7\n`);
    await using service = await ServiceProcess.start(folder, { LLM_MODEL: 'from-the-process' });
    expect(service.log.at(-1)).toMatchObject({ model: 'from-the-process' });
    const { body } = await ask(service.url, { conversation_id: 'c1', user_input: 'Hello!', max_tokens: 8 });
    expect(body['error']).toContain('from 1 to 7');
  });
});

/** A start that is refused: its code, and what it says. */
const refusedStart = async (
  settings: Readonly<Record<string, string>>,
  env = '',
): Promise<{ readonly code: number | null; readonly lines: readonly string[] }> => {
  await using folder = await makeWorkFolder();
  await folder.writeEnv(env);
  await using service = await ServiceProcess.spawn(folder, settings);
  const { code } = await service.exited();
  expect(service.stdout).toBe('');
  expect(service.stderr).not.toMatch(/^\s+at /m);
  return { code, lines: service.stderr.trimEnd().split('\n') };
};

describe('a start that cannot be', () => {
  it('tells all mistakes of .env at once, one line each, and no secret', async () => {
    const env = [
      'PORT=many',
      'LLM_TIMEOUT=soon',
      'LLM_TEMPRATURE=1',
      `API_KEYS=${CANARY}-without-an-id`,
      'LLM_RATE_LIMITS=5',
    ].join('\n');
    const { code, lines } = await refusedStart({ PORT: '' }, env);
    expect(code).toBe(1);
    expect(lines).toHaveLength(6);
    expect(lines[0]).toBe('5 settings are wrong:');
    for (const name of ['PORT', 'LLM_TIMEOUT', 'LLM_TEMPRATURE', 'API_KEYS', 'LLM_RATE_LIMITS']) {
      expect(lines.filter((line) => line.startsWith(`  - ${name} `))).toHaveLength(1);
    }
  });

  it('names the nearest setting for a name that is none', async () => {
    const { code, lines } = await refusedStart({ LLM_MODLE: 'llama3' });
    expect({ code, lines }).toEqual({
      code: 1,
      lines: ['One setting is wrong:', '  - LLM_MODLE is not a setting; did you mean LLM_MODEL?'],
    });
  });

  it('says who holds the data folder', async () => {
    await using folder = await makeWorkFolder();
    await using holder = await ServiceProcess.start(folder);
    await using second = await ServiceProcess.spawn(folder);
    expect(await second.exited()).toMatchObject({ code: 1 });
    expect(second.stderr).toMatch(new RegExp(`^The data folder .* is in use by process ${holder.pid} since .*\\n$`));
    expect(await read(`${holder.url}/health/ready`)).toMatchObject({ status: 200 });
  });

  it('says that the port is in use, and leaves the data folder as free as it was', async () => {
    const holder = createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    const address = holder.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    await using folder = await makeWorkFolder();
    try {
      await using service = await ServiceProcess.spawn(folder, { PORT: String(port) });
      expect(await service.exited()).toMatchObject({ code: 1 });
      expect(service.stderr).toBe(
        `127.0.0.1:${port} is in use. Stop what listens there, or set PORT to another port.\n`,
      );
    } finally {
      holder.close();
    }
    await using _next = await ServiceProcess.start(folder);
  });

  it('says that the address is not of this machine', async () => {
    const { code, lines } = await refusedStart({ HOST: '192.0.2.1', ALLOW_ANONYMOUS: 'true' });
    expect({ code, line: lines[0] }).toEqual({
      code: 1,
      line: expect.stringMatching(/^192\.0\.2\.1(:0)? is not an address of this machine\. Set HOST/),
    });
  });

  it('refuses to be open to other machines without keys, and says how to make one that works', async () => {
    const { code, lines } = await refusedStart({ HOST: '0.0.0.0' });
    expect(code).toBe(1);
    const [, command = ''] = /command makes: (node -p ".*?") /.exec(lines.join('\n')) ?? [];
    const key = (await runInShell(command)).trim();

    await using folder = await makeWorkFolder();
    await using service = await ServiceProcess.start(folder, { HOST: '0.0.0.0', API_KEYS: key });
    const question = { conversation_id: 'c1', user_input: 'Hello!' };
    expect(await ask(service.url, question)).toMatchObject({ status: 401, body: { code: 'unauthorized' } });
    expect(await ask(service.url, question, { authorization: `Bearer ${key}` })).toMatchObject({ status: 200 });
    expect(service.stdout).not.toContain(key.slice('alice.'.length));
  });
});
