import { setImmediate, setTimeout } from 'node:timers/promises';
import type { Gate } from './gate.ts';

/** Waits for a gate or a promise; throws the signal's reason when it aborts first. */
export async function waitFor(what: Gate | Promise<unknown>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    await Promise.race(['wait' in what ? what.wait() : what, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

/** Waits so many milliseconds, 0 being one turn of the event loop; throws the signal's reason when it aborts first. */
export async function waitMs(milliseconds: number, signal: AbortSignal): Promise<void> {
  try {
    if (milliseconds > 0) await setTimeout(milliseconds, undefined, { signal });
    else await setImmediate(undefined, { signal });
  } catch (error) {
    signal.throwIfAborted(); // Node's own AbortError does not say why
    throw error;
  }
}

/** Waits until the signal aborts, and throws its reason. */
export const waitForAbort = (signal: AbortSignal): Promise<void> => waitFor(new Promise<never>(() => {}), signal);
