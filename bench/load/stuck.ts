import { setTimeout as sleep } from 'node:timers/promises';
import { readRssBytes, type Pids } from '../measure/proc.ts';
import { runPaced, type PacedFigures } from './paced.ts';
import { StuckReader } from './stuck-reader.ts';

/** Clients that ask, stop reading for a while, and come back, beside healthy ones. */
export interface Stuck {
  readonly type: 'stuck';
  readonly url: string;
  readonly healthy: number;
  readonly stuck: number;
  readonly msPerToken: number;
  readonly stopSeconds: number;
  /** Makes them read as the others do: what it is compared with. */
  readonly isReading: boolean;
  readonly prefix: string;
  readonly pid: number;
  readonly pids: Pids;
}

export interface StuckFigures {
  readonly healthy: PacedFigures;
  /** The most while it lasted. */
  readonly maxRssBytes: number;
  /** How often each code closed a stuck socket. */
  readonly closed: Readonly<Record<string, number>>;
  /** Those who then had every event once, and the text of the end. */
  readonly resumedExactly: number;
}

const RSS_MS = 250;
/**
 * So many that a socket's buffers are full after a quarter of the time; where kernels take more, the pong is missed
 * first, behind what is told meanwhile. Either way the close waits behind what was not read.
 */
const TOKEN_CHARACTERS = 100;
/** Stuck replies go on for so much longer: who comes back meets a running one. */
const MORE = 1.2;

export const runStuck = async (order: Stuck): Promise<StuckFigures> => {
  const { url, stuck, msPerToken, stopSeconds, isReading, prefix, pid, pids } = order;
  let maxRssBytes = 0;
  const timer = setInterval(() => (maxRssBytes = Math.max(maxRssBytes, readRssBytes(pid))), RSS_MS);
  const prompt = `bench ${Math.ceil((stopSeconds * 1000 * MORE) / msPerToken)} ${msPerToken} ${TOKEN_CHARACTERS}`;
  const readers = await Promise.all(
    Array.from({ length: stuck }, (_, index) => StuckReader.open({ url, conversationId: `${prefix}-stuck-${index}` })),
  );
  for (const reader of readers) reader.ask(prompt, isReading ? 'delta' : 'cumulative');
  await sleep(1_000);
  if (!isReading) for (const reader of readers) reader.pause();
  const paced = { urls: [url], streams: order.healthy, msPerToken, prefix, pids, rampSeconds: 1 };
  const healthy = await runPaced({ type: 'paced', ...paced, windowSeconds: stopSeconds - 2 });
  const closings = await Promise.all(readers.map((reader) => reader.goOn()));
  clearInterval(timer);
  const isExact = await Promise.all(readers.map((reader) => reader.resume()));
  const closed = Object.groupBy(closings, (code) => String(code ?? 'open'));
  return {
    healthy,
    maxRssBytes,
    closed: Object.fromEntries(Object.entries(closed).map(([code, each]) => [code, each?.length ?? 0])),
    resumedExactly: isExact.filter(Boolean).length,
  };
};
