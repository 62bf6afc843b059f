import { existsSync, readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { describe, expect, it } from 'vitest';
import { toEventsTable } from '../scripts/events-docs.ts';
import { toEnvExample, toSettingsTable } from '../scripts/settings-docs.ts';
import { SETTING_NAMES } from '../src/config-settings.ts';
import { parseConfig } from '../src/config.ts';

const pathOf = (name: string): URL => new URL(`../${name}`, import.meta.url);
const read = (name: string): string => readFileSync(pathOf(name), 'utf8');

describe('.env.example', () => {
  it('is what the settings make of it (npm run docs)', () => {
    expect(read('.env.example')).toBe(toEnvExample());
  });

  it('changes nothing as it stands', () => {
    expect(parseEnv(read('.env.example'))).toEqual({});
  });

  it('names every setting once', () => {
    const names = [...read('.env.example').matchAll(/^# ([A-Z_]+)=/gm)].map((match) => match[1]);
    expect(names).toEqual(SETTING_NAMES);
  });

  it('shows the defaults as they are: taking away the "# " changes nothing', () => {
    const withoutExamples = read('.env.example').replaceAll(/^# Not set; for example:\n.*$/gm, '');
    const variables = parseEnv(withoutExamples.replaceAll(/^# ([A-Z_]+=)/gm, '$1'));
    expect(Object.keys(variables).length).toBeGreaterThan(15);
    expect(parseConfig(variables)).toEqual(parseConfig({}));
  });

  it('shows no key that works', () => {
    const example = /^# API_KEYS=.*$/m.exec(read('.env.example'))?.[0].slice(2) ?? '';
    expect(() => parseConfig(parseEnv(example))).toThrow(/API_KEYS/);
  });
});

describe('the table of settings', () => {
  it('has one row for each setting', () => {
    expect(toSettingsTable().split('\n')).toHaveLength(2 + SETTING_NAMES.length);
  });

  it.skipIf(!existsSync(pathOf('README.md')))('stands in README.md (npm run docs)', () => {
    const [, table] = /<!-- settings -->(.*)<!-- \/settings -->/s.exec(read('README.md')) ?? [];
    expect(table, 'README.md needs the lines <!-- settings --> and <!-- /settings -->').toBeDefined();
    expect(table?.trim()).toBe(toSettingsTable());
  });
});

it.skipIf(!existsSync(pathOf('README.md')))(
  'the table of the socket’s events stands in README.md (npm run docs)',
  () => {
    const [, table] = /<!-- events -->(.*)<!-- \/events -->/s.exec(read('README.md')) ?? [];
    expect(table?.trim()).toBe(toEventsTable());
  },
);
