import { describe, expect, it } from 'vitest';
import { untilAborted } from '../../src/providers/until-aborted.ts';

describe('untilAborted', () => {
  it('gives what the work gives', async () => {
    const { signal } = new AbortController();
    expect(await untilAborted(Promise.resolve(7), signal)).toBe(7);
    await expect(untilAborted(Promise.reject(new Error('no')), signal)).rejects.toThrow('no');
  });

  it('leaves with the signal’s reason while the work goes on', async () => {
    const controller = new AbortController();
    const { promise, resolve } = Promise.withResolvers<number>();
    const waiting = untilAborted(promise, controller.signal).catch((error: unknown) => error);
    controller.abort('gone');
    expect(await waiting).toBe('gone');
    resolve(7);
    expect(await promise).toBe(7);
  });

  it('leaves at once when the signal has aborted, and hears the failure of the work all the same', async () => {
    const pending = new Promise<void>(() => undefined);
    await expect(untilAborted(pending, AbortSignal.abort('gone'))).rejects.toBe('gone');
    // Unheard, this rejection would end the process, and fail this run.
    await expect(untilAborted(Promise.reject(new Error('no')), AbortSignal.abort('gone'))).rejects.toBe('gone');
  });

  it('prefers the signal’s reason to words of the work’s own', async () => {
    const controller = new AbortController();
    const { promise, reject } = Promise.withResolvers<void>();
    controller.signal.addEventListener('abort', () => reject(new Error('the operation was aborted')));
    const waiting = untilAborted(promise, controller.signal).catch((error: unknown) => error);
    controller.abort('gone');
    expect(await waiting).toBe('gone');
  });
});
