import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { runBench } from './bench.ts';
import { CASES, findCases } from './cases/all.ts';
import { toMarkdown } from './report/markdown.ts';
import { toPicture } from './report/picture.ts';

/** `npm run bench`, or `npm run bench -- short-replies idle --quick`: what the service costs. */

const options = {
  quick: { type: 'boolean', default: false },
  out: { type: 'string', default: fileURLToPath(new URL('results', import.meta.url)) },
  help: { type: 'boolean', default: false },
} as const;

const USAGE = `npm run bench -- [case …] [--quick] [--out folder]
Cases, by the beginnings of their names; all of them where none is named:
  ${CASES.map(({ name }) => name).join('\n  ')}
`;

const readArguments = () => {
  try {
    const { values, positionals } = parseArgs({ allowPositionals: true, options });
    return { ...values, cases: findCases(positionals) };
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
    process.exit(1);
  }
};

const { cases, quick, out, help } = readArguments();
if (help) {
  process.stdout.write(USAGE);
  process.exit(0);
}

// What a process has used is read from /proc.
if (process.platform !== 'linux') throw new Error('The benchmark runs on Linux only.');

const startedAt = performance.now();
const tell = (text: string): void => {
  const seconds = Math.round((performance.now() - startedAt) / 1000);
  process.stderr.write(`${String(seconds).padStart(5)} s  ${text}\n`);
};

const report = await runBench({ cases, isQuick: quick, tell });
const name = report.date.slice(0, 16).replace(':', '');
await mkdir(out, { recursive: true });
const markdown = toMarkdown(report, `${name}.svg`);
await writeFile(join(out, `${name}.json`), `${JSON.stringify(report, undefined, 2)}\n`);
await writeFile(join(out, `${name}.md`), markdown);
await writeFile(join(out, `${name}.svg`), toPicture(report));
process.stdout.write(`${markdown}\nWritten to ${join(out, name)}.md, .svg and .json\n`);
process.exitCode = report.failed.length > 0 ? 1 : 0;
