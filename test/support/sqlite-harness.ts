import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DEFAULT_RETENTION } from '../../src/stores/chat-store.ts';
import { openSqliteStore } from '../../src/stores/sqlite/open-sqlite-store.ts';
import type { SqliteChatStore } from '../../src/stores/sqlite/sqlite-chat-store.ts';
import { systemIds } from '../../src/system.ts';
import type { StoreHarness } from '../contract/chat-store.ts';
import { VirtualClock } from './virtual-clock.ts';

/** A folder that goes with the test. */
export interface TemporaryFolder extends AsyncDisposable {
  readonly path: string;
}

export const makeTemporaryFolder = async (): Promise<TemporaryFolder> => {
  const path = await mkdtemp(join(tmpdir(), 'chat-store-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
};

/** A store in a folder of its own, in virtual time. */
export const openSqliteHarness = async (): Promise<StoreHarness> => {
  const clock = new VirtualClock();
  const folder = await makeTemporaryFolder();
  const openAs = (instance: string): Promise<SqliteChatStore> =>
    openSqliteStore({ dataDir: folder.path, clock, ids: systemIds, instance });
  const store = await openAs('first');
  let last = store;
  return {
    store,
    instance: 'first',
    retention: DEFAULT_RETENTION,
    now: () => clock.now(),
    advance: (ms) => clock.jump(ms), // a month of minutes would be many
    replaceInstance: async () => {
      await store[Symbol.asyncDispose]();
      last = await openAs('second');
      return last;
    },
    [Symbol.asyncDispose]: async () => {
      await last[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
};
