import { describe, expect, it } from 'vitest';
import { MINUTE_MS } from '../../../src/stores/chat-store.ts';
import {
  addTurn,
  beginReply,
  key,
  newMessageId,
  type OpenHarness,
  readAll,
  toAppend,
  toClosing,
  toFinish,
} from './fixtures.ts';

/** How long things are kept after their last use. */
export const describeRetention = (open: OpenHarness): void => {
  describe('retention', () => {
    it('keeps a log for its time after the end, and the reply and its message longer', async () => {
      await using harness = await open();
      const reply = await addTurn(harness, 'Yes.');
      await harness.advance(harness.retention.logMs - 1);
      expect(await readAll(harness.store, reply)).toHaveLength(1);
      await harness.advance(1);

      expect(await readAll(harness.store, reply)).toStrictEqual([]);
      await harness.advance(2 * MINUTE_MS);
      expect(await readAll(harness.store, reply)).toStrictEqual([]);
      expect(await harness.store.loadReply(reply.messageId)).toMatchObject({ state: 'done', seq: 1 });
      expect(await harness.store.loadReplyMessage(reply.messageId)).toMatchObject({ content: 'Yes.' });
      expect(await harness.store.append([toAppend(reply, 2, 'x')])).toStrictEqual([{ type: 'closed', state: 'done' }]);
    });

    it('keeps the log of a reply that runs, however long it runs', async () => {
      await using harness = await open();
      const reply = await beginReply(harness);
      await harness.store.append([toAppend(reply, 1, 'Half')]);
      await harness.advance(harness.retention.logMs * 2);
      expect(await readAll(harness.store, reply)).toHaveLength(1);
      expect(await harness.store.cancel(toClosing(reply))).toMatchObject({ entry: { event: { text: 'Half' } } });
    });

    it('knows a request id for its time', async () => {
      await using harness = await open();
      const { begin, messageId } = await addTurn(harness, 'Yes.');
      await harness.advance(harness.retention.requestMs - 1);
      expect(await harness.store.open(key, begin.requestId)).toMatchObject({ request: { messageId } });
      await harness.advance(1);

      expect(await harness.store.open(key, begin.requestId)).not.toHaveProperty('request');
      const again = await beginReply(harness, { requestId: begin.requestId, fingerprint: 'another body' });
      expect(await harness.store.open(key, begin.requestId)).toMatchObject({ request: { messageId: again.messageId } });
    });

    it('keeps a conversation for its time after its last use', async () => {
      await using harness = await open();
      const { messageId } = await addTurn(harness, 'Yes.');
      await harness.advance(harness.retention.conversationMs - 1);
      expect(await harness.store.loadMessages(key, { limit: 10 })).toHaveLength(2);
      await addTurn(harness, 'Still.');
      await harness.advance(harness.retention.conversationMs - 1);
      expect(await harness.store.loadMessages(key, { limit: 10 })).toHaveLength(4);
      await harness.advance(1);

      expect(await harness.store.loadConversation(key)).toBeUndefined();
      expect(await harness.store.loadMessages(key, { limit: 10 })).toBeUndefined();
      expect(await harness.store.open(key, 'r')).toStrictEqual({ window: [] });
      expect(await harness.store.loadReply(messageId)).toBeUndefined();
      expect(await harness.store.loadReplyMessage(messageId)).toBeUndefined();
      expect(await harness.store.deleteConversation(key)).toStrictEqual({ type: 'gone' });
    });

    it('lets a new conversation take the id of one that has expired', async () => {
      await using harness = await open();
      await addTurn(harness, 'Yes.', { systemPrompt: 'Be brief.' });
      await harness.advance(harness.retention.conversationMs);
      const { messageId } = await beginReply(harness, { messageId: newMessageId(harness) });
      const conversation = await harness.store.loadConversation(key);
      expect(conversation).toMatchObject({ messageCount: 1, activeReply: messageId });
      expect(conversation).not.toHaveProperty('systemPrompt');
    });

    it('never removes a conversation whose reply runs', async () => {
      await using harness = await open();
      const reply = await beginReply(harness);
      await harness.advance(harness.retention.conversationMs * 2);
      expect(await harness.store.loadConversation(key)).toMatchObject({ activeReply: reply.messageId });
      expect(await harness.store.finish(toFinish(reply, { seq: 1, content: 'Yes.' }))).toStrictEqual({ type: 'ok' });
      expect(await harness.store.loadMessages(key, { limit: 10 })).toHaveLength(2);
    });

    it('removes many conversations as it removes one', async () => {
      await using harness = await open();
      const keys = Array.from({ length: 120 }, (_, index) => ({ ...key, conversationId: `room ${index}` }));
      await Promise.all(keys.map((of) => addTurn(harness, 'Yes.', of)));
      await harness.advance(harness.retention.conversationMs);
      for (const of of keys) expect(await harness.store.loadConversation(of)).toBeUndefined();
    });
  });
};
