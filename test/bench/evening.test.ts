import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { SEED, simulateEvenings } from '../../bench/evening/evening.ts';
import { toTable, withTable } from '../../bench/evening/table.ts';

describe('a simulated evening', () => {
  it('is the one of ARCHITECTURE.md: npm run evening', async () => {
    const page = readFileSync(new URL('../../ARCHITECTURE.md', import.meta.url), 'utf8');
    expect(withTable(page, toTable(await simulateEvenings()))).toBe(page);
  });

  it('is the same one again, and over in a moment', async () => {
    expect(await simulateEvenings()).toEqual(await simulateEvenings());
  }, 5_000);

  it.each([SEED, 1, 2, 3])('has fewer loads, shorter waits and more replies with the one queue: %i', async (seed) => {
    const [queued, ...byChance] = await simulateEvenings(seed);
    expect(byChance).toHaveLength(2);
    for (const other of byChance) {
      expect(queued?.loads).toBeLessThan(other.loads / 2);
      expect(queued?.medianMs).toBeLessThan(other.medianMs);
      expect(queued?.longestMs).toBeLessThan(other.longestMs);
      expect(queued?.worstCallerMs).toBeLessThan(other.worstCallerMs);
      expect(queued?.replies).toBeGreaterThan(other.replies);
    }
  });
});

describe('the table’s place in a page', () => {
  it('is between its two lines', () => {
    expect(withTable('before\n<!-- evening -->\nold\n<!-- /evening -->\nafter', 'new')).toBe(
      'before\n<!-- evening -->\n\nnew\n\n<!-- /evening -->\nafter',
    );
  });

  it('must be there', () => {
    expect(() => withTable('nothing', 'new')).toThrow('<!-- evening -->');
  });
});
