import { describe, expect, it } from 'vitest';
import { toReplyEnd } from '../../../src/conversation/transcript.ts';
import { LEASE_MS } from '../../../src/stores/chat-store.ts';
import {
  addTurn,
  beginReply,
  cancelled,
  done,
  failed,
  key,
  type OpenHarness,
  readAll,
  readWindow,
  toAppend,
  toClosing,
  toDelta,
  toFinish,
  toMessage,
} from './fixtures.ts';

/** How replies end: by their writer, by a caller, or because their writer is gone. The first one wins. */
export const describeEnding = (open: OpenHarness): void => {
  describe('finish', () => {
    it('brings the last events, the message and the end of the reply together', async () => {
      await using harness = await open();
      const reply = await beginReply(harness, { metadata: { trace: 7 } });
      await harness.store.append([toAppend(reply, 1, 'Yes')]);
      const finish = toFinish(reply, { seq: 2, content: 'Yes.', pending: [toDelta('.', 3)] });

      expect(await harness.store.finish(finish)).toStrictEqual({ type: 'ok' });

      expect(await harness.store.loadReply(reply.messageId)).toMatchObject({ state: 'done', seq: 3 });
      expect((await readAll(harness.store, reply)).map((entry) => entry.event)).toStrictEqual([
        toDelta('Yes'),
        ...finish.events,
      ]);
      expect(await harness.store.loadReplyMessage(reply.messageId)).toStrictEqual(finish.message);
      const conversation = await harness.store.loadConversation(key);
      expect(conversation).toMatchObject({ messageCount: 2, answeredBy: reply.begin.model });
      expect(conversation).not.toHaveProperty('activeReply');
    });

    it('lets the next reply begin', async () => {
      await using harness = await open();
      await addTurn(harness, 'Yes.');
      await addTurn(harness, 'Still.');
      const messages = await harness.store.loadMessages(key, { limit: 10 });
      expect(messages?.map((message) => [message.position, message.role])).toStrictEqual([
        [1, 'user'],
        [2, 'assistant'],
        [3, 'user'],
        [4, 'assistant'],
      ]);
    });

    it('is placed as an append is', async () => {
      await using harness = await open();
      const reply = await beginReply(harness);
      await harness.store.append([toAppend(reply, 1, 'Yes.')]);
      const early = toFinish(reply, { seq: 3, content: 'Yes.' });
      expect(await harness.store.finish(early)).toStrictEqual({ type: 'gap', have: 1 });
      expect(await harness.store.loadReply(reply.messageId)).toMatchObject({ state: 'running', seq: 1 });
    });

    it('finds the reply closed the second time, as every later write does', async () => {
      await using harness = await open();
      const reply = await addTurn(harness, 'Yes.');
      const closed = { type: 'closed', state: 'done' };
      expect(await harness.store.finish(toFinish(reply, { seq: 1, content: 'Yes.' }))).toStrictEqual(closed);
      expect(await harness.store.append([toAppend(reply, 2, 'x')])).toStrictEqual([closed]);
      expect(await harness.store.append([toAppend(reply, 1, 'x')])).toStrictEqual([closed]);
      expect(await harness.store.renew([reply])).toStrictEqual([closed]);
      expect(await readAll(harness.store, reply)).toHaveLength(1);
      expect(await harness.store.loadMessages(key, { limit: 10 })).toHaveLength(2);
    });

    it('finds nothing to end in a reply that never was', async () => {
      await using harness = await open();
      const reply = await beginReply(harness);
      const nobody = { ...reply, messageId: 'nobody' };
      expect(await harness.store.finish(toFinish(nobody, { seq: 1, content: '' }))).toStrictEqual({ type: 'gone' });
      expect(await harness.store.cancel(toClosing(nobody))).toStrictEqual({ type: 'gone' });
      expect(await harness.store.seal(toClosing(nobody))).toStrictEqual({ type: 'gone' });
    });

    it('names the model that last said something', async () => {
      await using harness = await open();
      await addTurn(harness, 'Yes.', { model: 'first' });
      await addTurn(harness, '', { model: 'second', outcome: failed });
      expect(await harness.store.loadConversation(key)).toMatchObject({ answeredBy: 'first' });
      await addTurn(harness, 'Half a', { model: 'third', outcome: failed });
      expect(await harness.store.loadConversation(key)).toMatchObject({ answeredBy: 'third' });
    });
  });

  describe('cancel', () => {
    it('ends a reply with the text of its log', async () => {
      await using harness = await open();
      const reply = await beginReply(harness, { metadata: { trace: 7 } });
      const events = [toDelta('Hm', 0, 'thinking'), toDelta('Ye'), toDelta('.', 2, 'thinking'), toDelta('s', 2)];
      await harness.store.append([{ ...toAppend(reply, 1), events }]);

      const answer = await harness.store.cancel(toClosing(reply, cancelled, 7_000));

      const entry = { seq: 5, event: toReplyEnd('Yes', cancelled, 7_000) };
      expect(answer).toStrictEqual({ type: 'ok', entry });
      expect((await readAll(harness.store, reply)).at(-1)).toStrictEqual(entry);
      expect(await harness.store.loadReplyMessage(reply.messageId)).toStrictEqual({
        ...toMessage(reply.begin, { content: 'Yes', outcome: cancelled, seq: 5, endedAt: 7_000 }),
        thinking: 'Hm.',
      });
      expect(await harness.store.loadReply(reply.messageId)).toMatchObject({ state: 'cancelled', seq: 5 });
      expect(await harness.store.loadConversation(key)).not.toHaveProperty('activeReply');
      expect(await readWindow(harness.store)).toStrictEqual(['Is it done?', 'Yes']);
    });

    it('keeps the turn out of the window when nothing was said', async () => {
      await using harness = await open();
      const reply = await beginReply(harness);
      await harness.store.cancel(toClosing(reply));
      expect(await readWindow(harness.store)).toStrictEqual([]);
      const message = await harness.store.loadReplyMessage(reply.messageId);
      expect(message).toMatchObject({ content: '', seq: 1 });
      expect(message).not.toHaveProperty('thinking');
    });

    it('lets no later event in', async () => {
      await using harness = await open();
      const reply = await beginReply(harness);
      await harness.store.cancel(toClosing(reply));
      const closed = { type: 'closed', state: 'cancelled' };
      expect(await harness.store.append([toAppend(reply, 1, 'x')])).toStrictEqual([closed]);
      expect(await harness.store.append([toAppend(reply, 2, 'x')])).toStrictEqual([closed]);
      expect(await harness.store.cancel(toClosing(reply))).toStrictEqual(closed);
      expect(await harness.store.seal(toClosing(reply, failed))).toStrictEqual(closed);
      expect(await readAll(harness.store, reply)).toHaveLength(1);
    });
  });

  describe('of two endings', () => {
    it('a cancel that comes first wins over a finish', async () => {
      await using harness = await open();
      const reply = await beginReply(harness);
      const answers = await Promise.all([
        harness.store.cancel(toClosing(reply)),
        harness.store.finish(toFinish(reply, { seq: 1, content: 'Yes.' })),
      ]);
      expect(answers).toMatchObject([{ type: 'ok' }, { type: 'closed', state: 'cancelled' }]);
      expect(await harness.store.loadMessages(key, { limit: 10 })).toHaveLength(2);
    });

    it('a finish that comes first wins over a cancel', async () => {
      await using harness = await open();
      const reply = await beginReply(harness);
      const answers = await Promise.all([
        harness.store.finish(toFinish(reply, { seq: 1, content: 'Yes.' })),
        harness.store.cancel(toClosing(reply)),
      ]);
      expect(answers).toStrictEqual([{ type: 'ok' }, { type: 'closed', state: 'done' }]);
      expect(await harness.store.loadReplyMessage(reply.messageId)).toMatchObject({ content: 'Yes.', outcome: done });
      expect(await readAll(harness.store, reply)).toHaveLength(1);
    });
  });

  describe('an abandoned reply', () => {
    it('is one whose lease has expired', async () => {
      await using harness = await open();
      const reply = await beginReply(harness);
      await harness.advance(LEASE_MS - 1);
      expect(await harness.store.findAbandoned(10)).toStrictEqual([]);
      expect(await harness.store.seal(toClosing(reply, failed))).toStrictEqual({ type: 'live' });
      await harness.advance(1);

      expect(await harness.store.findAbandoned(10)).toMatchObject([{ ...key, messageId: reply.messageId }]);
      expect(await harness.store.seal(toClosing(reply, failed))).toMatchObject({ type: 'ok' });

      expect(await harness.store.findAbandoned(10)).toStrictEqual([]);
      expect(await harness.store.append([toAppend(reply, 1, 'x')])).toStrictEqual([
        { type: 'closed', state: 'failed' },
      ]);
    });

    it('is one whose process is gone, and keeps its text', async () => {
      await using harness = await open();
      const reply = await beginReply(harness, { metadata: { trace: 7 } });
      await harness.store.append([toAppend(reply, 1, 'Half ', 'a')]);

      const store = await harness.replaceInstance();

      const abandoned = await store.findAbandoned(10);
      expect(abandoned).toStrictEqual([await store.loadReply(reply.messageId)]);
      expect(abandoned).toMatchObject([{ state: 'running', seq: 2, requestId: reply.begin.requestId }]);
      const entry = { seq: 3, event: toReplyEnd('Half a', failed, 9_000) };
      expect(await store.seal(toClosing(reply, failed, 9_000))).toStrictEqual({ type: 'ok', entry });
      expect(await store.loadReplyMessage(reply.messageId)).toStrictEqual(
        toMessage(reply.begin, { content: 'Half a', outcome: failed, seq: 3, endedAt: 9_000 }),
      );
      expect(await store.seal(toClosing(reply, failed))).toStrictEqual({ type: 'closed', state: 'failed' });
      expect(await readWindow(store)).toStrictEqual(['Is it done?', 'Half a']);
    });

    it('is found a few at a time', async () => {
      await using harness = await open();
      for (const conversationId of ['a', 'b', 'c']) await beginReply(harness, { conversationId });
      await harness.advance(LEASE_MS);
      expect(await harness.store.findAbandoned(2)).toHaveLength(2);
      expect(await harness.store.findAbandoned(10)).toHaveLength(3);
    });
  });
};
