import { describe, expect, it, vi } from 'vitest';
import { addTurn, beginReply, key, type OpenHarness, toAppend, toClosing, toFinish } from './fixtures.ts';

/** How watchers learn that there is something to read. */
export const describeWatch = (open: OpenHarness): void => {
  describe('watch', () => {
    it('calls when the log grows and when it ends', async () => {
      await using harness = await open();
      const reply = await beginReply(harness);
      const onNudge = vi.fn<() => void>();
      using _watch = await watchReady(harness.store, reply.messageId, onNudge);

      expect(await isNudged(onNudge, () => harness.store.append([toAppend(reply, 1, 'a')]))).toBe(true);
      const finish = toFinish(reply, { seq: 2, content: 'a' });
      expect(await isNudged(onNudge, () => harness.store.finish(finish))).toBe(true);
    });

    it('calls when the reply is cancelled, and when its conversation is deleted', async () => {
      await using harness = await open();
      const cancelled = await beginReply(harness);
      const deleted = await beginReply(harness, { conversationId: 'garden' });
      const onCancel = vi.fn<() => void>();
      const onDelete = vi.fn<() => void>();
      using _cancel = await watchReady(harness.store, cancelled.messageId, onCancel);
      using _delete = await watchReady(harness.store, deleted.messageId, onDelete);

      expect(await isNudged(onCancel, () => harness.store.cancel(toClosing(cancelled)))).toBe(true);
      const garden = { ...key, conversationId: 'garden' };
      expect(await isNudged(onDelete, () => harness.store.deleteConversation(garden))).toBe(true);
    });

    it('calls each watcher until it is disposed, and none of another reply', async () => {
      await using harness = await open();
      const reply = await beginReply(harness);
      const other = await beginReply(harness, { conversationId: 'garden' });
      const [first, second, foreign] = [vi.fn<() => void>(), vi.fn<() => void>(), vi.fn<() => void>()];
      const watch = await watchReady(harness.store, reply.messageId, first);
      using _second = await watchReady(harness.store, reply.messageId, second);
      using _foreign = await watchReady(harness.store, other.messageId, foreign);
      foreign.mockClear();
      await isNudged(first, () => harness.store.append([toAppend(reply, 1, 'a')]));

      watch[Symbol.dispose]();
      watch[Symbol.dispose]();
      first.mockClear();
      await isNudged(second, () => harness.store.append([toAppend(reply, 2, 'a')]));

      expect(first).not.toHaveBeenCalled();
      expect(foreign).not.toHaveBeenCalled();
    });

    it('may watch what never was', async () => {
      await using harness = await open();
      using _watch = harness.store.watch('nobody', () => undefined);
      expect(await addTurn(harness, 'Yes.')).toBeDefined();
    });
  });
};

/** A watch that is on its way has nudged once when it is there: what was appended meanwhile may have been missed. */
const watchReady = async (
  store: { watch(messageId: string, onNudge: () => void): Disposable },
  messageId: string,
  onNudge: ReturnType<typeof vi.fn<() => void>>,
): Promise<Disposable> => {
  const watch = store.watch(messageId, onNudge);
  await vi.waitFor(() => expect(onNudge).toHaveBeenCalled());
  return watch;
};

/** Resolves when it is; a store that never nudges fails the test here. */
const isNudged = async (onNudge: ReturnType<typeof vi.fn<() => void>>, act: () => Promise<unknown>): Promise<true> => {
  onNudge.mockClear();
  await act();
  await vi.waitFor(() => expect(onNudge).toHaveBeenCalled());
  return true;
};
