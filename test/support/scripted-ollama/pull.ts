import { createHash } from 'node:crypto';
import { parseObject } from './chat-request.ts';
import type { Exchange } from './exchange.ts';
import { goJson } from './go-json.ts';
import type { Host } from './host.ts';
import { HttpRefusal } from './http-refusal.ts';
import { createModel, isModelName, withTag } from './models.ts';
import { textOf } from './records.ts';
import { waitMs } from './waiting.ts';

const SIZE = 1_207_328;
const STEPS = [131_072, 524_288, 917_504, SIZE, SIZE]; // the whole size comes more than once, as recorded

/** `POST /api/pull`: any model is there to be had, but those whose name begins with `absent`. */
export async function answerPull(exchange: Exchange, host: Host): Promise<void> {
  const text = await exchange.readBody();
  if (text === '') throw new HttpRefusal(400, 'missing request body');
  const body = parseObject(text);
  const wanted = textOf(body, 'model', 'name');
  if (!isModelName(wanted)) throw new HttpRefusal(400, 'invalid model name');
  const isAbsent = /(?:^|\/)absent[^/]*$/.test(wanted);
  if (body['stream'] === false) return answerWhole(exchange, host, isAbsent ? undefined : wanted);
  await writeLine(exchange, host, { status: 'pulling manifest' });
  if (isAbsent) await writeLine(exchange, host, { error: MISSING });
  else await writeLayers(exchange, host, wanted);
  exchange.end();
}

const MISSING = 'pull model manifest: file does not exist';

function answerWhole(exchange: Exchange, host: Host, name: string | undefined): void {
  if (name === undefined) return exchange.bareJson(500, { error: MISSING });
  addModel(host, name);
  exchange.bareJson(200, { status: 'success' });
}

async function writeLayers(exchange: Exchange, host: Host, name: string): Promise<void> {
  const digest = createHash('sha256').update(name).digest('hex');
  const steps = host.models.has(withTag(name)) ? [SIZE] : STEPS;
  for (const completed of steps) {
    const layer = { digest: `sha256:${digest}`, total: SIZE, completed };
    await writeLine(exchange, host, { status: `pulling ${digest.slice(0, 12)}`, ...layer });
  }
  for (const status of ['verifying sha256 digest', 'writing manifest']) await writeLine(exchange, host, { status });
  addModel(host, name);
  await writeLine(exchange, host, { status: 'success' });
}

function addModel({ models }: Host, name: string): void {
  const listed = name.replace(/^https?:\/\//, '');
  if (!models.has(withTag(listed))) models.set(withTag(listed), createModel({ name: listed }));
}

async function writeLine(exchange: Exchange, host: Host, line: Readonly<Record<string, unknown>>): Promise<void> {
  await waitMs(host.paceMs, exchange.signal);
  await exchange.write(`${goJson(line)}\n`);
}
