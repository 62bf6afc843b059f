import { createHash } from 'node:crypto';
import { parseObject } from './chat-request.ts';
import type { Exchange } from './exchange.ts';
import { goJson } from './go-json.ts';
import type { Host } from './host.ts';
import { HttpRefusal } from './http-refusal.ts';
import { createModel, isModelName, withTag } from './models.ts';
import { textOf } from './records.ts';
import type { PullStep } from './script.ts';
import { waitFor, waitForAbort, waitMs } from './waiting.ts';

const SIZE = 1_207_328;
const STEPS = [131_072, 524_288, 917_504, SIZE, SIZE]; // the whole size comes more than once, as recorded

/** `POST /api/pull`: any model is there to be had, but those whose name begins with `absent`; or what a script says. */
export async function answerPull(exchange: Exchange, host: Host): Promise<void> {
  const text = await exchange.readBody();
  if (text === '') throw new HttpRefusal(400, 'missing request body');
  const body = parseObject(text);
  const wanted = textOf(body, 'model', 'name');
  if (!isModelName(wanted)) throw new HttpRefusal(400, 'invalid model name');
  const isAbsent = /(?:^|\/)absent[^/]*$/.test(wanted);
  if (body['stream'] === false) return answerWhole(exchange, host, isAbsent ? undefined : wanted);
  await writeLine(exchange, host, { status: 'pulling manifest' });
  const script = host.pulls.shift();
  if (script) return playPull(exchange, host, { script, name: wanted });
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

interface PlayedPull {
  readonly script: readonly PullStep[];
  readonly name: string;
}

async function playPull(exchange: Exchange, host: Host, { script, name }: PlayedPull): Promise<void> {
  for (const step of script) {
    if ('layer' in step) await writeLayer(exchange, host, step);
    else if ('line' in step) await writeLine(exchange, host, step.line);
    else if ('waitFor' in step) await waitFor(step.waitFor, exchange.signal);
    else if ('success' in step) await writeEnd(exchange, host, name);
    else if ('hang' in step) await waitForAbort(exchange.signal);
    else return exchange.reset();
  }
  exchange.end();
}

/** As recorded: nothing completed is left out. */
function writeLayer(exchange: Exchange, host: Host, step: Extract<PullStep, { layer: string }>): Promise<void> {
  const { layer, total, completed = 0 } = step;
  const digest = createHash('sha256').update(layer).digest('hex');
  const counts = completed === 0 ? { total } : { total, completed };
  return writeLine(exchange, host, {
    status: `pulling ${digest.slice(0, 12)}`,
    digest: `sha256:${digest}`,
    ...counts,
  });
}

async function writeEnd(exchange: Exchange, host: Host, name: string): Promise<void> {
  for (const status of ['verifying sha256 digest', 'writing manifest']) await writeLine(exchange, host, { status });
  addModel(host, name);
  await writeLine(exchange, host, { status: 'success' });
}

async function writeLayers(exchange: Exchange, host: Host, name: string): Promise<void> {
  const digest = createHash('sha256').update(name).digest('hex');
  const steps = host.models.has(withTag(name)) ? [SIZE] : STEPS;
  for (const completed of steps) {
    const layer = { digest: `sha256:${digest}`, total: SIZE, completed };
    await writeLine(exchange, host, { status: `pulling ${digest.slice(0, 12)}`, ...layer });
  }
  await writeEnd(exchange, host, name);
}

function addModel({ models }: Host, name: string): void {
  const listed = name.replace(/^https?:\/\//, '');
  if (!models.has(withTag(listed))) models.set(withTag(listed), createModel({ name: listed }));
}

async function writeLine(exchange: Exchange, host: Host, line: Readonly<Record<string, unknown>>): Promise<void> {
  await waitMs(host.paceMs, exchange.signal);
  await exchange.write(`${goJson(line)}\n`);
}
