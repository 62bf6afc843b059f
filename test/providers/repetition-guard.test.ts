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

  it.each([2, 3, 7, 13, 19])('notices a phrase of %i deltas that fills 100 of them', (length) => {
    const times100 = Array.from({ length: 300 }, (_, index) => words(length)[index % length] ?? '');
    expect(stuckAfter(times100)).toBe(100);
    expect(stuckAfter(['so', ...times100])).toBe(101);
    expect(stuckAfter([...times100.slice(0, 99), 'but', ...times100.slice(0, 99)])).toBeUndefined();
  });

  it('takes all white space for the same', () => {
    expect(stuckAfter(times(200, ['\n']))).toBe(101);
    const blanks = Array.from({ length: 200 }, (_, index) => ' '.repeat(1 + (index % 37)) + '\n'.repeat(index % 3));
    expect(stuckAfter(blanks)).toBe(101);
    expect(stuckAfter(['{', ...blanks])).toBe(102);
    expect(stuckAfter([...blanks.slice(0, 100), '}', ...blanks.slice(0, 100)])).toBeUndefined();
  });

  it('lets a long text pass that says much again', () => {
    const rows = Array.from({ length: 400 }, (_, row) => ['|', ' ', `${row}`, ' ', '|', ' ', 'ok', ' ', '|', '\n']);
    expect(stuckAfter(rows.flat())).toBeUndefined();
  });

  it('begins to count anew when something else comes', () => {
    expect(stuckAfter([...times(4, words(20)), 'but', ...times(4, words(20))])).toBeUndefined();
    expect(stuckAfter([...times(100, ['-']), '|', ...times(100, ['-'])])).toBeUndefined();
  });
});
