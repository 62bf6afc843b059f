import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CaseResult, Report } from '../../bench/report/result.ts';
import { hasRedisServer } from '../support/redis-server.ts';

const RUN = fileURLToPath(new URL('../../bench/run.ts', import.meta.url));
const CASES = ['short-replies-1', 'thousand-sockets'];
const LIMIT_MS = 90_000;

// It reads what a process has used from /proc.
describe.skipIf(!hasRedisServer || process.platform !== 'linux')('the short form of the benchmark', () => {
  let folder: string;
  let report: Report;
  let markdown: string;
  let picture: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bench-test-'));
    await promisify(execFile)(process.execPath, [RUN, ...CASES, '--quick', '--out', folder]);
    const read = async (ending: string): Promise<string> => {
      const name = (await readdir(folder)).find((each) => each.endsWith(ending)) ?? '';
      return readFile(join(folder, name), 'utf8');
    };
    report = JSON.parse(await read('.json')) as Report; // what the run has written
    [markdown, picture] = [await read('.md'), await read('.svg')];
  }, LIMIT_MS);

  afterAll(() => rm(folder, { recursive: true }));

  const find = (name: string): CaseResult => {
    const found = report.cases.find((each) => each.name === name);
    if (!found) throw new Error(`${name} has no result`);
    return found;
  };

  it('measures the cases that were named, and no other', () => {
    expect(report.cases.map(({ name }) => name)).toEqual(CASES);
    expect(report.failed).toEqual([]);
  });

  it('puts both stores beside the backend, the relay and the plain service', () => {
    const { rows } = find('short-replies-1');
    const subjects = ['backend', 'relay', 'plain service', 'service, Redis', 'service, SQLite'];
    expect(rows.map(({ subject }) => subject)).toEqual(subjects);
    for (const { figures } of rows) {
      expect(figures['requestsPerSecond']).toBeGreaterThan(0);
      expect(figures['p50Ms']).toBeGreaterThan(0);
      expect(figures['cpuPerRequestUs']).toBeGreaterThan(0);
      expect(figures['failures']).toBe(0);
    }
  });

  it('follows tokens from the backend to the client', () => {
    const { rows } = find('thousand-sockets');
    expect(rows).toHaveLength(1);
    for (const { figures } of rows) {
      expect(figures['transitP50Ms']).toBeGreaterThan(0);
      expect(figures['transitP99Ms']).toBeGreaterThan(0);
      expect(figures['tokensPerSecond']).toBeGreaterThan(0);
      expect(figures['loopP99Ms']).toBeGreaterThan(0);
      expect(figures['rssMegabytes']).toBeGreaterThan(0);
      expect(figures['failures']).toBe(0);
    }
  });

  it('says of each target whether it was reached, and of each row what limits it', () => {
    for (const { targets, rows } of report.cases) {
      for (const { about, measured } of targets) {
        expect(measured).toBeGreaterThan(0);
        expect(markdown).toContain(about);
      }
      for (const { limit } of rows) expect(markdown).toContain(limit);
    }
    expect(markdown).toContain(report.machine.node);
  });

  it('draws a picture of every row', () => {
    expect(picture).toMatch(/^<svg [\s\S]*<\/svg>\n$/);
    expect(picture).not.toContain('NaN');
    for (const { title, rows } of report.cases) {
      expect(picture).toContain(title);
      for (const { subject } of rows) expect(picture).toContain(`>${subject}</text>`);
    }
  });
});
