import { describe, expect, it } from 'vitest';
import { RepetitionGuard } from '../../src/providers/ollama/repetition-guard.ts';

/** After how many deltas it notices; undefined when it does not. */
const stuckAfter = (deltas: readonly string[]): number | undefined => {
  const guard = new RepetitionGuard();
  const index = deltas.findIndex((delta) => guard.isStuck(delta));
  return index === -1 ? undefined : index + 1;
};

const times = (count: number, deltas: readonly string[]): readonly string[] =>
  Array.from({ length: count }, () => deltas).flat();

const words = (count: number): readonly string[] => Array.from({ length: count }, (_, index) => ` ${index}`);

describe('RepetitionGuard', () => {
  it('lets one delta come 100 times in a row, and notices the next', () => {
    expect(stuckAfter(times(100, ['-']))).toBeUndefined();
    expect(stuckAfter(times(200, ['-']))).toBe(101);
  });

  it('notices 20 deltas that come five times in a row, wherever they begin', () => {
    expect(stuckAfter(times(4, words(20)))).toBeUndefined();
    expect(stuckAfter(times(5, words(20)))).toBe(100);
    expect(stuckAfter(['well', ',', ...times(5, words(20))])).toBe(102);
  });

  it('begins to count anew when something else comes', () => {
    expect(stuckAfter([...times(4, words(20)), 'but', ...times(4, words(20))])).toBeUndefined();
    expect(stuckAfter([...times(100, ['-']), '|', ...times(100, ['-'])])).toBeUndefined();
  });
});
