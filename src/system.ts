import { randomFillSync } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Clock, Ids } from './clock.ts';

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => Math.floor(performance.now()),
  sleep: async (ms, signal) => {
    try {
      await delay(ms, undefined, signal ? { signal } : {});
    } catch (error) {
      signal?.throwIfAborted(); // Node throws an AbortError of its own; who aborted had a reason
      throw error;
    }
  },
  every: (ms, callback) => {
    const timer = setInterval(callback, ms).unref();
    return { [Symbol.dispose]: () => clearInterval(timer) };
  },
  afterTurn: (callback) => void setImmediate(callback),
};

const ID_BYTES = 16;
/** Random bytes for the next ids: to ask for many at once costs as much as to ask for a few. */
const pool = Buffer.alloc(4096);
let poolAt = pool.length;

const newId = (): string => {
  if (poolAt === pool.length) {
    randomFillSync(pool);
    poolAt = 0;
  }
  poolAt += ID_BYTES;
  return pool.toString('base64url', poolAt - ID_BYTES, poolAt);
};

/** Randomness of the operating system. */
export const systemIds: Ids = {
  newId,
  random: () => Math.random(),
};
