import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { buildApp } from '../src/app.ts';
import { parseConfig } from '../src/config.ts';
import { toEventsTable } from './events-docs.ts';
import { toEnvExample, toSettingsTable } from './settings-docs.ts';

/**
 * Writes what is made from the code: `.env.example`, the events and the settings in README.md, `openapi.yaml` and `asyncapi.yaml`.
 * With `--check` it writes nothing, names what is not as the code says, and exits with 1.
 */

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** What README.md has of it, between lines of that name: `<!-- settings -->` and `<!-- /settings -->`. */
const TABLES = { events: toEventsTable, settings: toSettingsTable };

/** Each file's name and what is to be in it. */
const toPages = async (): Promise<readonly (readonly [string, string])[]> => {
  const readme = await readFile(join(ROOT, 'README.md'), 'utf8');
  return [['.env.example', toEnvExample()], ['README.md', withTables(readme)], ...(await toDescriptions())];
};

const withTables = (readme: string): string =>
  Object.entries(TABLES).reduce((page, [name, toTable]) => {
    const place = new RegExp(`(<!-- ${name} -->\\n).*(<!-- /${name} -->)`, 's');
    if (!place.test(page)) throw new Error(`README.md needs the lines <!-- ${name} --> and <!-- /${name} -->.`);
    return page.replace(place, (_all, begin, end) => `${begin}\n${toTable()}\n\n${end}`);
  }, readme);

/** The descriptions of both wires as the service itself gives them, without listening. */
const toDescriptions = async (): Promise<readonly (readonly [string, string])[]> => {
  const dataDir = await mkdtemp(join(tmpdir(), 'chat-docs-'));
  const { server } = await buildApp(parseConfig({ DATA_DIR: dataDir, LOG_LEVEL: 'silent' }));
  try {
    const names = ['openapi.yaml', 'asyncapi.yaml'] as const;
    return await Promise.all(names.map(async (name) => [name, (await server.inject(`/${name}`)).body] as const));
  } finally {
    await server.close();
    await rm(dataDir, { recursive: true });
  }
};

const { check } = parseArgs({ options: { check: { type: 'boolean', default: false } } }).values;
for (const [name, text] of await toPages()) {
  const path = join(ROOT, name);
  const present = await readFile(path, 'utf8').catch(() => ''); // not there yet
  if (present === text) continue;
  if (check) process.exitCode = 1;
  else await writeFile(path, text);
  process.stdout.write(check ? `${name} is not what the code says: npm run docs\n` : `wrote ${name}\n`);
}
