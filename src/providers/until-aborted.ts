/**
 * Waits for `work`, but leaves when the signal aborts: the work itself goes on, for whoever else waits for it.
 * @throws the signal's reason when it aborts first, and then nothing else
 */
export const untilAborted = async <T>(work: Promise<T>, signal: AbortSignal): Promise<T> => {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([aborted, work]); // either's rejection is heard, also when the other came first
  } catch (error) {
    signal.throwIfAborted(); // work that heard of the abort too may have rejected with words of its own
    throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
};
