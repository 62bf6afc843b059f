import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { runBench } from './bench.ts';
import { findCases } from './cases/all.ts';
import { toMarkdown } from './report/markdown.ts';
import { toPicture } from './report/picture.ts';

/** `npm run bench`, or `npm run bench -- short-replies idle --quick`: what the service costs. */

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    out: { type: 'string', default: fileURLToPath(new URL('results', import.meta.url)) },
  },
});

// What a process has used is read from /proc.
if (process.platform !== 'linux') throw new Error('The benchmark runs on Linux only.');

const startedAt = performance.now();
const tell = (text: string): void => {
  const seconds = Math.round((performance.now() - startedAt) / 1000);
  process.stderr.write(`${String(seconds).padStart(5)} s  ${text}\n`);
};

const report = await runBench({ cases: findCases(positionals), isQuick: values.quick, tell });
const name = report.date.slice(0, 16).replace(':', '');
await mkdir(values.out, { recursive: true });
const markdown = toMarkdown(report, `${name}.svg`);
await writeFile(join(values.out, `${name}.json`), `${JSON.stringify(report, undefined, 2)}\n`);
await writeFile(join(values.out, `${name}.md`), markdown);
await writeFile(join(values.out, `${name}.svg`), toPicture(report));
process.stdout.write(`${markdown}\nWritten to ${join(values.out, name)}.md, .svg and .json\n`);
process.exitCode = report.failed.length > 0 ? 1 : 0;
