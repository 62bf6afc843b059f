import { describe, expect, it } from 'vitest';
import {
  addTurn,
  beginReply,
  failed,
  key,
  newMessageId,
  type OpenHarness,
  readWindow,
  toBegin,
  toFinish,
} from './fixtures.ts';

/** Conversations, their messages and the window. */
export const describeConversations = (open: OpenHarness): void => {
  describe('a conversation', () => {
    it('is created once, with its settings', async () => {
      await using harness = await open();
      const settings = { systemPrompt: 'Be brief.', metadata: { room: { floor: 2 } }, model: 'qwen3:4b' };

      const created = await harness.store.createConversation({ ...key, ...settings });

      const conversation = {
        ...key,
        ...settings,
        createdAt: harness.now(),
        updatedAt: harness.now(),
        messageCount: 0,
        cut: { position: 0, droppedTurns: 0 },
        replaced: [],
        summaries: [],
        version: expect.any(Number),
      };
      expect(created).toStrictEqual({ type: 'created', conversation });
      expect(await harness.store.createConversation(key)).toStrictEqual({ type: 'exists' });
      expect(await harness.store.loadConversation(key)).toStrictEqual(conversation);
    });

    it('is not there before', async () => {
      await using harness = await open();
      expect(await harness.store.loadConversation(key)).toBeUndefined();
      expect(await harness.store.loadMessages(key, { limit: 10 })).toBeUndefined();
      expect(await harness.store.open(key, 'r')).toStrictEqual({ window: [] });
      expect(await harness.store.deleteConversation(key)).toStrictEqual({ type: 'gone' });
    });

    it('is invisible to everybody but its owner', async () => {
      await using harness = await open();
      const { begin } = await addTurn(harness, 'Yes.');
      const foreign = { ...key, owner: 'bob' };

      expect(await harness.store.loadConversation(foreign)).toBeUndefined();
      expect(await harness.store.loadMessages(foreign, { limit: 10 })).toBeUndefined();
      expect(await harness.store.open(foreign, begin.requestId)).toStrictEqual({ window: [] });
      expect(await harness.store.deleteConversation(foreign)).toStrictEqual({ type: 'gone' });
      expect(await harness.store.createConversation(foreign)).toMatchObject({ type: 'created' });
      expect(await readWindow(harness.store)).toStrictEqual(['Is it done?', 'Yes.']);
    });

    it('has a version that rises when its prompt changes', async () => {
      await using harness = await open();
      const versions: (number | undefined)[] = [];
      const note = async (): Promise<void> => {
        versions.push((await harness.store.loadConversation(key))?.version);
      };
      await harness.store.createConversation(key);
      await note();
      const reply = await beginReply(harness);
      await note();
      await harness.store.finish(toFinish(reply, { seq: 1, content: 'Yes.' }));
      await note();

      expect(versions[0]).toBeGreaterThan(0);
      expect(new Set(versions).size).toBe(3);
      expect(versions).toStrictEqual(versions.toSorted((a, b) => Number(a) - Number(b)));
    });

    it('was updated when a reply last began or ended', async () => {
      await using harness = await open();
      const reply = await beginReply(harness);
      const begunAt = harness.now();
      await harness.advance(1_000);
      expect(await harness.store.loadConversation(key)).toMatchObject({ createdAt: begunAt, updatedAt: begunAt });

      await harness.store.finish(toFinish(reply, { seq: 1, content: 'Yes.' }));

      expect(await harness.store.loadConversation(key)).toMatchObject({ createdAt: begunAt, updatedAt: harness.now() });
    });

    it('is deleted with its messages, replies, logs and request ids', async () => {
      await using harness = await open();
      const { begin, messageId } = await addTurn(harness, 'Yes.');

      expect(await harness.store.deleteConversation(key)).toStrictEqual({ type: 'deleted' });

      expect(await harness.store.loadConversation(key)).toBeUndefined();
      expect(await harness.store.loadMessages(key, { limit: 10 })).toBeUndefined();
      expect(await harness.store.loadReply(messageId)).toBeUndefined();
      expect(await harness.store.loadReplyMessage(messageId)).toBeUndefined();
      expect(await harness.store.readLog(messageId, 0, 10)).toStrictEqual([]);
      expect(await harness.store.deleteConversation(key)).toStrictEqual({ type: 'gone' });
      const again = { ...begin, messageId: newMessageId(harness), expectedVersion: 0 };
      expect(await harness.store.begin(again)).toMatchObject({ type: 'begun' });
      expect(await harness.store.loadMessages(key, { limit: 10 })).toHaveLength(1);
    });
  });

  describe('the messages', () => {
    it('are paged from the newest back, oldest first', async () => {
      await using harness = await open();
      for (const content of ['one', 'two', 'three']) await addTurn(harness, content);
      const loadPositions = async (range: { before?: number; limit: number }): Promise<number[] | undefined> =>
        (await harness.store.loadMessages(key, range))?.map((message) => message.position);

      expect(await loadPositions({ limit: 4 })).toStrictEqual([3, 4, 5, 6]);
      expect(await loadPositions({ before: 3, limit: 4 })).toStrictEqual([1, 2]);
      expect(await loadPositions({ before: 1, limit: 4 })).toStrictEqual([]);
      expect(await loadPositions({ limit: 100 })).toStrictEqual([1, 2, 3, 4, 5, 6]);
      expect(await loadPositions({ before: 1_000, limit: 1 })).toStrictEqual([6]);
    });

    it('come back as they were given', async () => {
      await using harness = await open();
      const userMessage = {
        ...toBegin(harness).userMessage,
        images: ['aGVsbG8='],
        metadata: { form: { fields: [1, null, 'x'] } },
      };
      const reply = await beginReply(harness, { userMessage, metadata: { trace: 7 } });
      const finish = toFinish(reply, { seq: 1, content: 'Yes.' });
      const message = { ...finish.message, thinking: 'Hm.' };
      await harness.store.finish({ ...finish, message });

      expect(await harness.store.loadMessages(key, { limit: 10 })).toStrictEqual([
        { ...userMessage, position: 1 },
        { ...message, position: 2 },
      ]);
      expect(await harness.store.loadReplyMessage(reply.messageId)).toStrictEqual(message);
    });
  });

  describe('the window', () => {
    it('holds the question of the reply that runs', async () => {
      await using harness = await open();
      await addTurn(harness, 'Yes.');
      await beginReply(harness);
      expect(await readWindow(harness.store)).toStrictEqual(['Is it done?', 'Yes.', 'Is it done?']);
    });

    it('leaves out turns that failed without a word, and keeps those that said something', async () => {
      await using harness = await open();
      await addTurn(harness, 'Yes.');
      await addTurn(harness, '', { outcome: failed });
      await addTurn(harness, 'Half a', { outcome: failed });
      await addTurn(harness, '');

      expect(await readWindow(harness.store)).toStrictEqual([
        'Is it done?',
        'Yes.',
        'Is it done?',
        'Half a',
        'Is it done?',
        '',
      ]);
      expect(await harness.store.loadMessages(key, { limit: 10 })).toHaveLength(8);
    });

    it('begins after the cut, which only moves forward', async () => {
      await using harness = await open();
      for (const content of ['one', 'two']) await addTurn(harness, content);
      await addTurn(harness, 'three', { cut: { position: 2, droppedTurns: 1 } });
      expect(await readWindow(harness.store)).toStrictEqual(['Is it done?', 'two', 'Is it done?', 'three']);

      await addTurn(harness, 'four', { cut: { position: 0, droppedTurns: 0 } });

      expect(await readWindow(harness.store)).toHaveLength(6);
      expect(await harness.store.loadConversation(key)).toMatchObject({ cut: { position: 2, droppedTurns: 1 } });
    });
  });
};
