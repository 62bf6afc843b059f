import type { Clock } from '../clock.ts';

/** Told how long each call took, and whether it worked. */
export type StoreTiming = (operation: string, result: 'ok' | 'error', seconds: number) => void;

/**
 * The same store, with a watch on it: every method that promises something is timed under its own name. A proxy,
 * since it does the same for each method and must not fall behind the interface.
 */
export const withTiming = <Store extends object>(store: Store, clock: Clock, onCall: StoreTiming): Store =>
  new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      return (...values: readonly unknown[]): unknown => {
        const startedAt = clock.elapsed();
        const result: unknown = Reflect.apply(value, target, values);
        if (!(result instanceof Promise) || typeof name !== 'string') return result;
        const seconds = (): number => (clock.elapsed() - startedAt) / 1000;
        result.then(
          () => onCall(name, 'ok', seconds()),
          () => onCall(name, 'error', seconds()),
        );
        return result;
      };
    },
  });
