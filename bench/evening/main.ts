import { readFile, writeFile } from 'node:fs/promises';
import { simulateEvenings } from './evening.ts';
import { toTable, withTable } from './table.ts';

/** Simulates the evening, prints the table and writes it into ARCHITECTURE.md. */

const PAGE = new URL('../../ARCHITECTURE.md', import.meta.url);

const table = toTable(await simulateEvenings());
await writeFile(PAGE, withTable(await readFile(PAGE, 'utf8'), table));
process.stdout.write(`${table}\n`);
