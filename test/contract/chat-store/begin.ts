import { describe, expect, it } from 'vitest';
import {
  addTurn,
  beginReply,
  key,
  newMessageId,
  type OpenHarness,
  readAll,
  toAppend,
  toBegin,
  toFinish,
} from './fixtures.ts';

/** What begins a reply, and what refuses to. */
export const describeBegin = (open: OpenHarness): void => {
  describe('begin', () => {
    it('brings the conversation, the request id, the user message and the reply together', async () => {
      await using harness = await open();
      const begin = toBegin(harness, { metadata: { trace: 7 }, systemPrompt: 'Be brief.' });

      expect(await harness.store.begin(begin)).toStrictEqual({ type: 'begun', token: expect.any(String) });

      const { requestId, messageId, fingerprint, model, metadata, instance } = begin;
      expect(await harness.store.open(key, requestId)).toMatchObject({
        request: { messageId, fingerprint },
        conversation: { ...key, messageCount: 1, activeReply: messageId, systemPrompt: 'Be brief.' },
        window: [{ ...begin.userMessage, position: 1 }],
      });
      expect(await harness.store.loadReply(messageId)).toStrictEqual({
        ...key,
        messageId,
        requestId,
        model,
        metadata,
        instance,
        promptTokens: begin.promptTokens,
        state: 'running',
        seq: 0,
        createdAt: harness.now(),
      });
      expect(await harness.store.readLog(messageId, 0, 10)).toStrictEqual([]);
      expect(await harness.store.loadReplyMessage(messageId)).toBeUndefined();
    });

    it('answers a repeat with its reply, while it runs and after', async () => {
      await using harness = await open();
      const reply = await beginReply(harness);
      const { messageId } = reply;
      const repeat = { ...reply.begin, messageId: newMessageId(harness) };
      expect(await harness.store.begin(repeat)).toStrictEqual({ type: 'exists', messageId });

      await harness.store.finish(toFinish(reply, { seq: 1, content: 'Yes.' }));

      expect(await harness.store.begin(repeat)).toStrictEqual({ type: 'exists', messageId });
      expect(await harness.store.loadMessages(key, { limit: 10 })).toHaveLength(2);
    });

    it('answers the very same call as the first time, as its answer may have been lost', async () => {
      await using harness = await open();
      const { begin, token } = await beginReply(harness);
      expect(await harness.store.begin(begin)).toStrictEqual({ type: 'begun', token });
      await harness.store.append([toAppend({ messageId: begin.messageId, token }, 1, 'a')]);
      expect(await harness.store.begin(begin)).toStrictEqual({ type: 'begun', token });
      expect(await harness.store.loadMessages(key, { limit: 10 })).toHaveLength(1);
      expect(await readAll(harness.store, begin)).toHaveLength(1);
    });

    it('gives the token to nobody else, and to nobody after the end', async () => {
      await using harness = await open();
      const reply = await beginReply(harness);
      const { begin, messageId } = reply;
      const exists = { type: 'exists', messageId };
      expect(await harness.store.begin({ ...begin, instance: 'another' })).toStrictEqual(exists);
      expect(await harness.store.begin({ ...begin, fingerprint: 'other' })).toStrictEqual({
        ...exists,
        type: 'conflict',
      });
      await harness.store.finish(toFinish(reply, { seq: 1, content: 'Yes.' }));
      expect(await harness.store.begin(begin)).toStrictEqual(exists);
    });

    it('refuses a request id with another body', async () => {
      await using harness = await open();
      const { begin, messageId } = await beginReply(harness);
      const other = { ...begin, messageId: newMessageId(harness), fingerprint: 'another body' };
      expect(await harness.store.begin(other)).toStrictEqual({ type: 'conflict', messageId });
    });

    it('knows a request id only within its conversation and owner', async () => {
      await using harness = await open();
      const { requestId } = (await beginReply(harness)).begin;
      const elsewhere = toBegin(harness, { requestId, conversationId: 'garden' });
      const foreign = toBegin(harness, { requestId, owner: 'bob' });
      expect(await harness.store.begin(elsewhere)).toMatchObject({ type: 'begun' });
      expect(await harness.store.begin(foreign)).toMatchObject({ type: 'begun' });
    });

    it('names the reply that runs, whatever version is expected', async () => {
      await using harness = await open();
      const { messageId } = await beginReply(harness);
      const { version = 0 } = (await harness.store.loadConversation(key)) ?? {};
      for (const expectedVersion of [0, version - 1, version, version + 1]) {
        const answer = await harness.store.begin(toBegin(harness, { expectedVersion }));
        expect(answer).toStrictEqual({ type: 'busy', messageId });
      }
    });

    it('finds a prompt stale that was made before the conversation changed', async () => {
      await using harness = await open();
      const { conversation } = await harness.store.open(key, 'r');
      const early = toBegin(harness, { expectedVersion: conversation?.version ?? 0 });
      await addTurn(harness, 'Yes.');

      expect(await harness.store.begin(early)).toStrictEqual({ type: 'stale' });

      expect(await harness.store.open(key, early.requestId)).not.toHaveProperty('request');
      expect(await harness.store.loadReply(early.messageId)).toBeUndefined();
      expect(await harness.store.begin(toBegin(harness, { expectedVersion: 99 }))).toStrictEqual({ type: 'stale' });
    });

    it('finds a prompt stale whose conversation has been deleted', async () => {
      await using harness = await open();
      await addTurn(harness, 'Yes.');
      const { conversation } = await harness.store.open(key, 'r');
      await harness.store.deleteConversation(key);
      const late = toBegin(harness, { expectedVersion: conversation?.version ?? 0 });
      expect(await harness.store.begin(late)).toStrictEqual({ type: 'stale' });
    });

    it('finds a prompt stale whose conversation has been deleted and made anew', async () => {
      await using harness = await open();
      await addTurn(harness, 'Yes.');
      const { conversation } = await harness.store.open(key, 'r');
      await harness.store.deleteConversation(key);
      await addTurn(harness, 'No.');
      const late = toBegin(harness, { expectedVersion: conversation?.version ?? 0 });
      expect(await harness.store.begin(late)).toStrictEqual({ type: 'stale' });
    });

    it('keeps the system prompt of the first turn only', async () => {
      await using harness = await open();
      const metadata = { floor: 2 };
      await harness.store.createConversation({ ...key, systemPrompt: 'Be long.', metadata });
      await addTurn(harness, 'Yes.', { systemPrompt: 'Be brief.' });
      await addTurn(harness, 'Yes.', { systemPrompt: 'Be rude.' });
      expect(await harness.store.loadConversation(key)).toMatchObject({ systemPrompt: 'Be brief.', metadata });
    });

    it('keeps the system prompt that was there when it brings none', async () => {
      await using harness = await open();
      await harness.store.createConversation({ ...key, systemPrompt: 'Be brief.' });
      await addTurn(harness, 'Yes.');
      expect(await harness.store.loadConversation(key)).toMatchObject({ systemPrompt: 'Be brief.' });
    });

    it('begins one reply of fifty repeats at once', async () => {
      await using harness = await open();
      const begin = toBegin(harness);
      const repeats = Array.from({ length: 50 }, () => ({ ...begin, messageId: newMessageId(harness) }));

      const answers = await Promise.all(repeats.map((repeat) => harness.store.begin(repeat)));

      expect(countTypes(answers)).toStrictEqual({ begun: 1, exists: 49 });
      expect(await harness.store.loadMessages(key, { limit: 100 })).toHaveLength(1);
    });

    it('begins one reply of fifty requests at once', async () => {
      await using harness = await open();
      const begins = Array.from({ length: 50 }, () => toBegin(harness));
      const answers = await Promise.all(begins.map((begin) => harness.store.begin(begin)));
      expect(countTypes(answers)).toStrictEqual({ begun: 1, busy: 49 });
      expect(await harness.store.loadMessages(key, { limit: 100 })).toHaveLength(1);
    });

    it('runs replies of many conversations side by side', async () => {
      await using harness = await open();
      const names = Array.from({ length: 20 }, (_, index) => `room ${index}`);
      const replies = await Promise.all(names.map((conversationId) => beginReply(harness, { conversationId })));
      await Promise.all(replies.map((reply) => harness.store.append([toAppend(reply, 1, reply.messageId)])));
      for (const reply of replies) {
        expect(await readAll(harness.store, reply)).toMatchObject([{ event: { text: reply.messageId } }]);
      }
    });

    it('never gives out a token twice', async () => {
      await using harness = await open();
      const tokens = new Set<string>();
      for (let turn = 0; turn < 10; turn++) {
        await harness.store.deleteConversation(key);
        tokens.add((await beginReply(harness)).token);
      }
      expect(tokens.size).toBe(10);
    });
  });
};

const countTypes = (answers: readonly { readonly type: string }[]): Record<string, number> =>
  answers.reduce<Record<string, number>>((counts, { type }) => ({ ...counts, [type]: (counts[type] ?? 0) + 1 }), {});
