import { describe, expect, it } from 'vitest';
import { LEASE_MS } from '../../../src/stores/chat-store.ts';
import { beginReply, key, type OpenHarness, readAll, toAppend, toClosing, toDelta, toFinish } from './fixtures.ts';

/** The log of a reply: dense, fenced, appended to many at a time. */
export const describeLog = (open: OpenHarness): void => {
  describe('append', () => {
    it('keeps events in order, without a hole', async () => {
      await using harness = await open();
      const reply = await beginReply(harness);
      const answers = [
        await harness.store.append([toAppend(reply, 1, 'The ', 'kettle ')]),
        await harness.store.append([toAppend(reply, 3, 'boils.')]),
      ];

      expect(answers).toStrictEqual([[{ type: 'ok' }], [{ type: 'ok' }]]);
      const log = await readAll(harness.store, reply);
      expect(log.map((entry) => entry.seq)).toStrictEqual([1, 2, 3]);
      expect(log[1]).toStrictEqual({ seq: 2, event: toDelta('kettle ', 4) });
      expect(await harness.store.loadReply(reply.messageId)).toMatchObject({ seq: 3, state: 'running' });
    });

    it('keeps every kind of event as it was', async () => {
      await using harness = await open();
      const reply = await beginReply(harness);
      const context = { droppedTurns: 2, keptTurns: 3, estimatedTokens: 900, contextWindow: 4096 };
      const events = [{ type: 'context' as const, ...context }, toDelta('Hm.', 0, 'thinking'), toDelta('Yes.')];
      await harness.store.append([{ ...toAppend(reply, 1), events }]);
      expect((await readAll(harness.store, reply)).map((entry) => entry.event)).toStrictEqual(events);
    });

    it('answers duplicate to what is there, and keeps it once', async () => {
      await using harness = await open();
      const reply = await beginReply(harness);
      await harness.store.append([toAppend(reply, 1, 'a', 'b', 'c')]);
      for (const again of [toAppend(reply, 1, 'a', 'b', 'c'), toAppend(reply, 3, 'c'), toAppend(reply, 1, 'a')]) {
        expect(await harness.store.append([again])).toStrictEqual([{ type: 'duplicate' }]);
      }
      expect(await readAll(harness.store, reply)).toHaveLength(3);
    });

    it('answers a gap with where the log ends, also when a part is there', async () => {
      await using harness = await open();
      const reply = await beginReply(harness);
      expect(await harness.store.append([toAppend(reply, 2, 'b')])).toStrictEqual([{ type: 'gap', have: 0 }]);
      await harness.store.append([toAppend(reply, 1, 'a', 'b')]);
      const overlapping = toAppend(reply, 2, 'b', 'c');
      expect(await harness.store.append([overlapping])).toStrictEqual([{ type: 'gap', have: 2 }]);
      expect(await harness.store.append([toAppend(reply, 4, 'd')])).toStrictEqual([{ type: 'gap', have: 2 }]);
      expect(await readAll(harness.store, reply)).toHaveLength(2);
    });

    it('fences off every other token, before it says anything else', async () => {
      await using harness = await open();
      const reply = await beginReply(harness);
      const stranger = { ...reply, token: `${reply.token}x` };
      for (const seq of [1, 2, 0]) {
        expect(await harness.store.append([toAppend(stranger, seq, 'x')])).toStrictEqual([{ type: 'fenced' }]);
      }
      expect(await harness.store.finish(toFinish(stranger, { seq: 1, content: '' }))).toStrictEqual({ type: 'fenced' });
      expect(await harness.store.renew([stranger])).toStrictEqual([{ type: 'fenced' }]);
      expect(await readAll(harness.store, reply)).toStrictEqual([]);
    });

    it('answers each reply on its own, in the order of the appends', async () => {
      await using harness = await open();
      const conversations = ['ok', 'duplicate', 'gap', 'fenced', 'closed'];
      const replies = await Promise.all(conversations.map((conversationId) => beginReply(harness, { conversationId })));
      const [ok, duplicate, gap, fenced, closed] = replies;
      if (!ok || !duplicate || !gap || !fenced || !closed) throw new Error('A reply is missing.');
      await harness.store.append([toAppend(duplicate, 1, 'a')]);
      await harness.store.cancel(toClosing(closed));

      const answers = await harness.store.append([
        toAppend(gap, 5, 'e'),
        toAppend(ok, 1, 'a'),
        toAppend({ ...fenced, token: ok.token }, 1, 'a'),
        toAppend({ messageId: 'nobody', token: ok.token }, 1, 'a'),
        toAppend(duplicate, 1, 'a'),
        toAppend(closed, 1, 'a'),
        toAppend(ok, 2, 'b'),
      ]);

      expect(answers).toStrictEqual([
        { type: 'gap', have: 0 },
        { type: 'ok' },
        { type: 'fenced' },
        { type: 'gone' },
        { type: 'duplicate' },
        { type: 'closed', state: 'cancelled' },
        { type: 'ok' },
      ]);
      expect(await readAll(harness.store, ok)).toHaveLength(2);
      expect(await harness.store.append([])).toStrictEqual([]);
    });

    it('takes appends that come at once in the order in which they came', async () => {
      await using harness = await open();
      const reply = await beginReply(harness);
      const appends = Array.from({ length: 100 }, (_, index) => toAppend(reply, index + 1, String(index)));
      const answers = await Promise.all(appends.map((append) => harness.store.append([append])));
      expect(answers.flat().every((answer) => answer.type === 'ok')).toBe(true);
      expect(await readAll(harness.store, reply)).toHaveLength(100);
    });

    it('finds the reply of a deleted conversation gone', async () => {
      await using harness = await open();
      const reply = await beginReply(harness);
      await harness.store.append([toAppend(reply, 1, 'a')]);
      await harness.store.deleteConversation(key);
      expect(await harness.store.append([toAppend(reply, 2, 'b')])).toStrictEqual([{ type: 'gone' }]);
      expect(await harness.store.renew([reply])).toStrictEqual([{ type: 'gone' }]);
      expect(await harness.store.finish(toFinish(reply, { seq: 2, content: 'a' }))).toStrictEqual({ type: 'gone' });
      expect(await harness.store.cancel(toClosing(reply))).toStrictEqual({ type: 'gone' });
      expect(await harness.store.seal(toClosing(reply))).toStrictEqual({ type: 'gone' });
    });

    it('is seen by whoever reads after the answer', async () => {
      await using harness = await open();
      const reply = await beginReply(harness);
      for (let seq = 1; seq <= 20; seq++) {
        await harness.store.append([toAppend(reply, seq, 'x')]);
        expect(await harness.store.readLog(reply.messageId, seq - 1, 10)).toMatchObject([{ seq }]);
      }
    });
  });

  describe('readLog', () => {
    it('gives at most the entries that were asked for', async () => {
      await using harness = await open();
      const reply = await beginReply(harness);
      await harness.store.append([toAppend(reply, 1, 'a', 'b', 'c', 'd')]);
      const readSeqs = async (after: number, limit: number): Promise<number[]> =>
        (await harness.store.readLog(reply.messageId, after, limit)).map((entry) => entry.seq);
      expect(await readSeqs(0, 2)).toStrictEqual([1, 2]);
      expect(await readSeqs(2, 2)).toStrictEqual([3, 4]);
      expect(await readSeqs(4, 2)).toStrictEqual([]);
      expect(await readSeqs(99, 2)).toStrictEqual([]);
    });

    it('is empty for a reply that never was', async () => {
      await using harness = await open();
      expect(await harness.store.readLog('nobody', 0, 10)).toStrictEqual([]);
      expect(await harness.store.loadReply('nobody')).toBeUndefined();
      expect(await harness.store.loadReplyMessage('nobody')).toBeUndefined();
    });
  });

  describe('a lease', () => {
    it('is renewed for each reply that is named, with an answer for each', async () => {
      await using harness = await open();
      const running = await beginReply(harness);
      const ended = await beginReply(harness, { conversationId: 'garden' });
      await harness.store.cancel(toClosing(ended));
      expect(await harness.store.renew([running, ended, { messageId: 'nobody', token: 'x' }])).toStrictEqual([
        { type: 'ok' },
        { type: 'closed', state: 'cancelled' },
        { type: 'gone' },
      ]);
    });

    it('is kept by renewals and by appends', async () => {
      await using harness = await open();
      const renewed = await beginReply(harness);
      const written = await beginReply(harness, { conversationId: 'garden' });
      for (let seq = 1; seq <= 4; seq++) {
        await harness.advance(LEASE_MS / 2);
        await harness.store.renew([renewed]);
        await harness.store.append([toAppend(written, seq, 'x')]);
        expect(await harness.store.findAbandoned(10)).toStrictEqual([]);
      }
      expect(await harness.store.seal(toClosing(renewed))).toStrictEqual({ type: 'live' });
    });
  });
};
