import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { StorageUnavailableError } from '../../src/errors.ts';
import { openSqliteStore } from '../../src/stores/sqlite/open-sqlite-store.ts';
import type { SqliteChatStore } from '../../src/stores/sqlite/sqlite-chat-store.ts';
import { systemIds } from '../../src/system.ts';
import { failed, readAll, toClosing } from '../contract/chat-store/fixtures.ts';
import { makeTemporaryFolder } from '../support/sqlite-harness.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

const SCRIPT = fileURLToPath(new URL('../support/store-process.ts', import.meta.url));

/** How many acknowledged appends a process is killed after. */
const APPENDS = 300;

describe('the data folder', () => {
  it('is refused to a second process, which is told who has it', async () => {
    await using folder = await makeTemporaryFolder();
    await using holder = startProcess(folder.path, 'hold');
    expect(await holder.readLine()).toBe('open');

    const opening = openStore(folder.path);

    await expect(opening).rejects.toThrow(StorageUnavailableError);
    await expect(opening).rejects.toThrow(
      new RegExp(`^The data folder ${folder.path} is in use by process ${holder.pid} since \\d{4}-.*Z\\. .* DATA_DIR`),
    );
  });

  it('is free again after kill -9', async () => {
    await using folder = await makeTemporaryFolder();
    await using holder = startProcess(folder.path, 'hold');
    expect(await holder.readLine()).toBe('open');

    await holder.kill();

    await using store = await openStore(folder.path);
    await expect(store.ping()).resolves.toBeUndefined();
    await using second = startProcess(folder.path, 'hold');
    expect(await second.readLine()).toContain(`in use by process ${process.pid} since 2026-01-01T00:00:00.000Z`);
  });

  it('is free again when the store is closed', async () => {
    await using folder = await makeTemporaryFolder();
    const store = await openStore(folder.path);
    await expect(openStore(folder.path)).rejects.toThrow('is in use by process');
    await store[Symbol.asyncDispose]();
    await using process = startProcess(folder.path, 'hold');
    expect(await process.readLine()).toBe('open');
  });

  it('names nobody where the holder has left no name', async () => {
    await using folder = await makeTemporaryFolder();
    await using store = await openStore(folder.path);
    await store.ping();
    await writeFile(join(folder.path, 'lock.json'), '{"pid":');
    await expect(openStore(folder.path)).rejects.toThrow('is in use by another process.');
  });
});

describe('kill -9 in the middle of appends', () => {
  it('loses nothing that was acknowledged', async () => {
    await using folder = await makeTemporaryFolder();
    await using writer = startProcess(folder.path, 'append');
    expect(await writer.readLine()).toBe('open');
    for (let seq = 1; seq <= APPENDS; seq++) expect(await writer.readLine()).toBe(`ok ${seq}`);

    const rest = await writer.kill();

    const acknowledged = APPENDS + rest.filter((line) => /^ok \d+$/.test(line)).length;
    await using store = await openStore(folder.path);
    const log = await readAll(store, { messageId: 'reply' });
    expect(log.length).toBeGreaterThanOrEqual(acknowledged);
    expect(log.map((entry) => entry.seq)).toStrictEqual(log.map((_, index) => index + 1));
    expect(await store.findAbandoned(10)).toMatchObject([{ messageId: 'reply', seq: log.length }]);
    const sealed = await store.seal(toClosing({ messageId: 'reply' }, failed));
    expect(sealed).toMatchObject({ type: 'ok', entry: { event: { text: 'x'.repeat(log.length) } } });
  });
});

const openStore = (dataDir: string): Promise<SqliteChatStore> =>
  openSqliteStore({ dataDir, clock: new VirtualClock(), ids: systemIds, instance: 'test' });

interface StoreProcess extends AsyncDisposable {
  readonly pid: number | undefined;
  readLine(): Promise<string | undefined>;
  /** Kills it with SIGKILL; the lines that it had written and nobody has read. */
  kill(): Promise<readonly string[]>;
}

const startProcess = (dataDir: string, task: 'hold' | 'append'): StoreProcess => {
  const child = spawn(process.execPath, [SCRIPT, dataDir, task], { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const readLine = async (): Promise<string | undefined> => (await lines.next()).value;
  const kill = async (): Promise<readonly string[]> => {
    await endProcess(child, exited);
    const rest: string[] = [];
    for (let line = await readLine(); line !== undefined; line = await readLine()) rest.push(line);
    return rest;
  };
  return { pid: child.pid, readLine, kill, [Symbol.asyncDispose]: () => endProcess(child, exited) };
};

const endProcess = async (child: ChildProcess, exited: Promise<unknown>): Promise<void> => {
  child.kill('SIGKILL');
  await exited;
};
