import { describe, expect, it } from 'vitest';
import type { PositionRange, Summary } from '../../../src/stores/chat-store.ts';
import { addTurn, beginReply, key, type OpenHarness, type StoreHarness, toFinish } from './fixtures.ts';

/** What is kept beside the messages, in short. */
export const describeSummaries = (open: OpenHarness): void => {
  describe('a summary', () => {
    it('is kept with its conversation, and is no use of it', async () => {
      await using harness = await open();
      await addTurns(harness, 2);
      const before = await harness.store.loadConversation(key);
      await harness.advance(1_000);

      expect(await keep(harness, 2, { text: 'A pair: \ud83d\ude00.\nA half: \ud83d.' })).toBe('kept');

      const summaries = [
        { position: 2, text: 'A pair: \ud83d\ude00.\nA half: \ud83d.', model: 'qwen3:4b', createdAt: 7 },
      ];
      expect(await harness.store.loadConversation(key)).toStrictEqual({ ...before, summaries });
      expect((await harness.store.open(key, 'none')).conversation).toStrictEqual({ ...before, summaries });
      const { conversations } = await harness.store.listConversations(key.owner, { limit: 10 });
      expect(conversations).toStrictEqual([{ ...before, summaries }]);
    });

    it('expires with its conversation, whose life it does not make longer', async () => {
      await using harness = await open();
      await addTurns(harness, 1);
      await harness.advance(harness.retention.conversationMs - 1);
      expect(await keep(harness, 2)).toBe('kept');
      await harness.advance(1);
      expect(await harness.store.loadConversation(key)).toBeUndefined();
      expect(await keep(harness, 2)).toBe('gone');
      await addTurns(harness, 1);
      expect(await readPositions(harness)).toStrictEqual([]);
    });

    it('at or before the cut takes the place of those that are older', async () => {
      await using harness = await open();
      await addTurns(harness, 4, 6);
      await keep(harness, 2);
      await keep(harness, 6);
      expect(await readPositions(harness)).toStrictEqual([6]);
      await keep(harness, 4);
      expect(await readPositions(harness)).toStrictEqual([6]);
    });

    it('behind the cut waits beside the one in force', async () => {
      await using harness = await open();
      await addTurns(harness, 5, 4);
      await keep(harness, 8);
      expect(await readPositions(harness)).toStrictEqual([8]);
      await keep(harness, 2);
      expect(await readPositions(harness)).toStrictEqual([2, 8]);
      await keep(harness, 4);
      expect(await readPositions(harness)).toStrictEqual([4, 8]);
      await keep(harness, 10);
      expect(await readPositions(harness)).toStrictEqual([4, 10]);
      await keep(harness, 6);
      expect(await readPositions(harness)).toStrictEqual([4, 10]);
    });

    it('stays when the cut passes it, and is the one in force then', async () => {
      await using harness = await open();
      await addTurns(harness, 4, 2);
      await keep(harness, 2);
      await keep(harness, 6);
      await addTurns(harness, 1, 6);
      expect(await readPositions(harness)).toStrictEqual([2, 6]);
      await keep(harness, 8);
      expect(await readPositions(harness)).toStrictEqual([6, 8]);
    });

    it('of the same position takes the place of the one before', async () => {
      await using harness = await open();
      await addTurns(harness, 2, 2);
      for (const text of ['old', 'new']) {
        await keep(harness, 2, { text });
        await keep(harness, 4, { text });
      }
      expect(await readSummaries(harness)).toMatchObject([
        { position: 2, text: 'new' },
        { position: 4, text: 'new' },
      ]);
    });

    it('may be kept while a reply runs', async () => {
      await using harness = await open();
      await addTurns(harness, 1);
      const reply = await beginReply(harness);
      expect(await keep(harness, 2)).toBe('kept');
      expect(await harness.store.finish(toFinish(reply, { seq: 1, content: 'Yes.' }))).toStrictEqual({ type: 'ok' });
      expect(await readPositions(harness)).toStrictEqual([2]);
    });

    it('goes when something up to its position is replaced, and those before stay', async () => {
      await using harness = await open();
      await addTurns(harness, 4, 2);
      await keep(harness, 2);
      await keep(harness, 6);
      await replaceFrom(harness, 6);
      expect(await readPositions(harness)).toStrictEqual([2]);
      await replaceFrom(harness, 3);
      expect(await readPositions(harness)).toStrictEqual([2]);
    });

    it('made before something was replaced is stale', async () => {
      await using harness = await open();
      await addTurns(harness, 2);
      await replaceFrom(harness, 3);
      expect(await keep(harness, 2)).toBe('stale');
      expect(await keep(harness, 2, {}, [{ first: 3, last: 5 }])).toBe('stale');
      expect(await keep(harness, 2, {}, [{ first: 3, last: 4 }])).toBe('kept');
    });

    it('of messages that the conversation does not have is stale: it was another one', async () => {
      await using harness = await open();
      expect(await keep(harness, 2)).toBe('gone');
      await addTurns(harness, 1);
      expect(await keep(harness, 4)).toBe('stale');
      expect(await readPositions(harness)).toStrictEqual([]);
    });
  });
};

/** So many turns, with the cut at a position from the last of them on. */
const addTurns = async (harness: StoreHarness, count: number, position = 0): Promise<void> => {
  for (let turn = 1; turn < count; turn++) await addTurn(harness, 'Yes.');
  await addTurn(harness, 'Yes.', { cut: { position, droppedTurns: position / 2 } });
};

/** An edit: the summaries are there until it ends. */
const replaceFrom = async (harness: StoreHarness, from: number): Promise<void> => {
  const before = await readPositions(harness);
  const reply = await beginReply(harness, { replaces: { from, window: [], cut: { position: 2, droppedTurns: 1 } } });
  expect(await readPositions(harness)).toStrictEqual(before);
  await harness.store.finish(toFinish(reply, { seq: 1, content: 'Yes.' }));
};

const keep = async (
  { store }: StoreHarness,
  position: number,
  changes: Partial<Summary> = {},
  replaced: readonly PositionRange[] = [],
): Promise<string> => {
  const summary = { position, text: 'They met.', model: 'qwen3:4b', createdAt: 7, ...changes };
  return (await store.keepSummary(key, summary, replaced)).type;
};

const readSummaries = async ({ store }: StoreHarness): Promise<readonly Summary[] | undefined> =>
  (await store.loadConversation(key))?.summaries;

const readPositions = async (harness: StoreHarness): Promise<readonly number[] | undefined> =>
  (await readSummaries(harness))?.map((summary) => summary.position);
