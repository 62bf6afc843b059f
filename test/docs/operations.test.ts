import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ERROR_CODES } from '../../src/errors.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';

const PATH = fileURLToPath(new URL('../../docs/operations.md', import.meta.url));
const page = readFileSync(PATH, 'utf8');

const section = (heading: string): string => page.split(/^## /m).find((text) => text.startsWith(heading)) ?? '';

describe('the page for operators', () => {
  it('says what to do for each error code', () => {
    expect(ERROR_CODES.filter((code) => !section('Error codes').includes(`\`${code}\``))).toEqual([]);
  });

  it('says what each figure of our own means', async () => {
    const metrics = new Metrics();
    metrics.addGauges({
      queue: () => ({ waiting: 0, serving: 0 }),
      running: () => 0,
      sockets: () => 0,
      hosts: () => [],
    });
    const names = [...(await metrics.collect()).matchAll(/^# TYPE (llm_\w+)/gm)].map(([, name = '']) => name);
    expect(names).not.toEqual([]);
    expect(names.filter((name) => !new RegExp(`\`${name}[\`{]`).test(section('Figures')))).toEqual([]);
  });

  it('links to what is there', () => {
    const links = [...page.matchAll(/\]\(([^)#]+)[^)]*\)/g)].map(([, link = '']) => link);
    expect(links.filter((link) => !/^https?:/.test(link) && !existsSync(join(dirname(PATH), link)))).toEqual([]);
  });
});
