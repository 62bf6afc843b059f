import { setTimeout as sleep } from 'node:timers/promises';
import { readRssBytes } from '../measure/proc.ts';
import { openWires } from './open-wire.ts';

/** Connections that say nothing. */
export interface Idle {
  readonly type: 'idle';
  readonly url: string;
  readonly sockets: number;
  /** Opened and closed beforehand, a few at a time: what handshakes make of the heap is not the sockets'. */
  readonly warmUp: number;
  /** How long the process may take to come to rest. */
  readonly settleSeconds: number;
  readonly pid: number;
}

export interface IdleFigures {
  readonly beforeBytes: number;
  readonly afterBytes: number;
}

/** At once, while it warms up. */
const FEW = 20;

export const runIdle = async ({ url, sockets, warmUp, settleSeconds, pid }: Idle): Promise<IdleFigures> => {
  for (let count = 0; count < warmUp; count += FEW) {
    const few = await openWires([url], FEW);
    for (const wire of few) wire.close();
  }
  await sleep(settleSeconds * 1000);
  const beforeBytes = readRssBytes(pid);
  const wires = await openWires([url], sockets);
  await sleep(settleSeconds * 1000);
  const afterBytes = readRssBytes(pid);
  for (const wire of wires) wire.close();
  return { beforeBytes, afterBytes };
};
