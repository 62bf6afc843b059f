import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Clock, Ids } from './clock.ts';

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
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

/** Randomness of the operating system. */
export const systemIds: Ids = {
  newId: () => randomBytes(ID_BYTES).toString('base64url'),
  random: () => Math.random(),
};
