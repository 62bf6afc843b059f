import { describe, expect, it } from 'vitest';
import { toReplyEnd } from '../../../src/conversation/transcript.ts';
import {
  type Again,
  addTurn,
  beginAgain,
  beginReply,
  cancelled,
  done,
  failed,
  key,
  newMessageId,
  type OpenHarness,
  readAll,
  readWindow,
  type RunningReply,
  type StoreHarness,
  toAgain,
  toAppend,
  toClosing,
  toDelta,
  toFinish,
  toMessage,
} from './fixtures.ts';

/** Replies that go on with the last one: its message grows where it stands. */
export const describeGoingOn = (open: OpenHarness): void => {
  describe('a reply that goes on with another', () => {
    it('changes no message while it runs', async () => {
      await using harness = await open();
      const first = await addHalf(harness);
      const reply = await beginAgain(harness, toContinuation(first));
      await harness.store.append([toAppend(reply, 1, 'Half', ' and')]);

      expect(await readWindow(harness.store)).toStrictEqual(['Is it done?', 'Half']);
      const active = { messageCount: 2, activeReply: reply.messageId };
      expect(await harness.store.loadConversation(key)).toMatchObject(active);
      expect(await harness.store.loadReply(reply.messageId)).toMatchObject({ continues: first.messageId });
      expect(await harness.store.loadReplyMessage(reply.messageId)).toBeUndefined();
    });

    it('makes the message grow when it is finished', async () => {
      await using harness = await open();
      const first = await addHalf(harness);
      const reply = await beginAgain(harness, { ...toContinuation(first), model: 'gemma3', metadata: { trace: 8 } });
      await harness.store.append([toAppend(reply, 1, 'Half', ' and')]);
      const { version = 0 } = (await harness.store.loadConversation(key)) ?? {};
      const finish = toFinish(reply, { seq: 3, content: 'Half and whole', pending: [toDelta(' whole', 8)] });
      expect(finish.message).toMatchObject({ id: first.messageId, requestId: reply.begin.requestId, seq: 4 });

      expect(await harness.store.finish(finish)).toStrictEqual({ type: 'ok' });

      const conversation = await harness.store.loadConversation(key);
      expect(conversation).toMatchObject({ messageCount: 2, answeredBy: 'gemma3', version: version + 1, replaced: [] });
      expect(conversation).not.toHaveProperty('activeReply');
      const [question] = (await harness.store.loadMessages(key, { limit: 10 })) ?? [];
      const messages = [question, { ...finish.message, position: 2 }];
      expect(await harness.store.loadMessages(key, { limit: 10 })).toStrictEqual(messages);
      expect((await harness.store.open(key, 'none')).window).toStrictEqual(messages);
      for (const { messageId } of [first, reply]) {
        expect(await harness.store.loadReplyMessage(messageId)).toStrictEqual(finish.message);
      }
      expect((await readAll(harness.store, reply)).at(-1)).toStrictEqual({ seq: 4, event: finish.events.at(-1) });
    });

    it('makes it grow by what the log says when it is cancelled', async () => {
      await using harness = await open();
      const first = await addHalf(harness);
      const reply = await beginAgain(harness, { ...toContinuation(first), variantOf: 'another' });
      await harness.store.append([toAppend(reply, 1, 'Half', ' and')]);

      const answer = await harness.store.cancel(toClosing(reply, cancelled, 7_000));

      const entry = { seq: 3, event: toReplyEnd('Half and', cancelled, 7_000) };
      expect(answer).toStrictEqual({ type: 'ok', entry });
      expect((await readAll(harness.store, reply)).at(-1)).toStrictEqual(entry);
      const end = { content: 'Half and', outcome: cancelled, seq: 3, endedAt: 7_000 };
      const message = { ...toMessage(reply.begin, end), id: first.messageId };
      expect(message.variantOf).toBe('another');
      expect(await harness.store.loadReplyMessage(reply.messageId)).toStrictEqual(message);
      expect(await harness.store.loadMessages(key, { limit: 1 })).toStrictEqual([{ ...message, position: 2 }]);
      expect(await readWindow(harness.store)).toStrictEqual(['Is it done?', 'Half and']);
    });

    it('makes it grow when its own writer is gone, too', async () => {
      await using harness = await open();
      const first = await addHalf(harness);
      const reply = await beginAgain(harness, toContinuation(first));
      await harness.store.append([toAppend(reply, 1, 'Half', ' and')]);
      const store = await harness.replaceInstance();
      expect(await store.findAbandoned(10)).toMatchObject([{ continues: first.messageId }]);
      expect(await store.seal(toClosing(reply, failed))).toMatchObject({ type: 'ok' });
      expect(await readWindow(store)).toStrictEqual(['Is it done?', 'Half and']);
    });

    it('leaves record and log of the one before as they were', async () => {
      await using harness = await open();
      const first = await addHalf(harness);
      const record = await harness.store.loadReply(first.messageId);
      const log = await readAll(harness.store, first);
      await goOn(harness, first, 'Half and');
      expect(await harness.store.loadReply(first.messageId)).toStrictEqual(record);
      expect(await readAll(harness.store, first)).toStrictEqual(log);
      expect(await harness.store.readLog(first.messageId, 1, 10)).toStrictEqual(log.slice(1));
    });

    it('may be gone on with in its turn, and every log stays as it was', async () => {
      await using harness = await open();
      const first = await addHalf(harness);
      const second = await goOn(harness, first, 'Half and');
      const logs = [await readAll(harness.store, first), await readAll(harness.store, second)];
      const third = await goOn(harness, first, 'Half and whole');

      expect([await readAll(harness.store, first), await readAll(harness.store, second)]).toStrictEqual(logs);
      expect(await readWindow(harness.store)).toStrictEqual(['Is it done?', 'Half and whole']);
      for (const { messageId } of [first, second, third]) {
        const message = await harness.store.loadReplyMessage(messageId);
        expect(message).toMatchObject({ id: first.messageId, content: 'Half and whole' });
      }
    });

    it('leaves the message as it was when nothing is there of it', async () => {
      await using harness = await open();
      const first = await addHalf(harness);
      const message = await harness.store.loadReplyMessage(first.messageId);
      const reply = await beginAgain(harness, toContinuation(first));
      await harness.store.cancel(toClosing(reply));
      expect(await harness.store.loadReplyMessage(first.messageId)).toStrictEqual(message);
      expect(await harness.store.loadReplyMessage(reply.messageId)).toStrictEqual(message);
      expect(await readWindow(harness.store)).toStrictEqual(['Is it done?', 'Half']);
      expect(await readAll(harness.store, reply)).toMatchObject([{ event: { type: 'end', text: '' } }]);
      expect(await harness.store.loadReply(reply.messageId)).toMatchObject({ state: 'cancelled', seq: 1 });
    });

    it('is stale where its message is not the last of the window', async () => {
      await using harness = await open();
      const first = await addHalf(harness);
      await addTurn(harness, 'Yes.');
      const { version = 0 } = (await harness.store.loadConversation(key)) ?? {};
      const early = toAgain(harness, { ...toContinuation(first), expectedVersion: version });
      expect(await harness.store.begin(early)).toStrictEqual({ type: 'stale' });
      expect(await harness.store.loadReply(early.messageId)).toBeUndefined();
    });

    it('is stale where there is nothing to go on with', async () => {
      await using harness = await open();
      const messageId = newMessageId(harness);
      const begin = toAgain(harness, { continues: { messageId, position: 2 } });
      expect(await harness.store.begin(begin)).toStrictEqual({ type: 'stale' });
      expect(await harness.store.loadConversation(key)).toBeUndefined();
    });

    it('is answered as the first time when the very same call comes again', async () => {
      await using harness = await open();
      const { begin, token } = await beginAgain(harness, toContinuation(await addHalf(harness)));
      expect(await harness.store.begin(begin)).toStrictEqual({ type: 'begun', token });
    });

    it('is followed by the next turn', async () => {
      await using harness = await open();
      await goOn(harness, await addHalf(harness), 'Half and');
      await addTurn(harness, 'Yes.');
      expect(await readWindow(harness.store)).toStrictEqual(['Is it done?', 'Half and', 'Is it done?', 'Yes.']);
    });
  });
};

/** A turn whose answer broke off: its log has all of its text. */
const addHalf = async (harness: StoreHarness): Promise<RunningReply> => {
  const reply = await beginReply(harness);
  await harness.store.finish(toFinish(reply, { seq: 1, content: 'Half', outcome: failed, pending: [toDelta('Half')] }));
  return reply;
};

/** Goes on with the answer to the only question. */
const toContinuation = ({ messageId }: RunningReply): Partial<Again> => ({
  questionPosition: 1,
  continues: { messageId, position: 2 },
});

const goOn = async (harness: StoreHarness, first: RunningReply, content: string): Promise<RunningReply> => {
  const reply = await beginAgain(harness, toContinuation(first));
  const finish = toFinish(reply, { seq: 1, content, outcome: done, pending: [toDelta(content)] });
  expect(await harness.store.finish(finish)).toStrictEqual({ type: 'ok' });
  return reply;
};
