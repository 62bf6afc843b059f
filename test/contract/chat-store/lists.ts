import { describe, expect, it } from 'vitest';
import { InvalidRequestError } from '../../../src/errors.ts';
import type { ChatStore } from '../../../src/stores/chat-store.ts';
import { addTurn, beginReply, key, type OpenHarness, type StoreHarness, toBegin, toFinish } from './fixtures.ts';

/** An owner's list of conversations, and what may be changed of one. */
export const describeLists = (open: OpenHarness): void => {
  describe('the list of conversations', () => {
    it('is empty for an owner without any', async () => {
      await using harness = await open();
      expect(await harness.store.listConversations('ada', { limit: 10 })).toStrictEqual({ conversations: [] });
    });

    it('shows each as it is, the one used last first', async () => {
      await using harness = await open();
      await createRooms(harness, ['one', 'two', 'three']);
      const reply = await beginReply(harness, { conversationId: 'one' });
      await harness.advance(1);
      await addTurn(harness, 'Yes.', { conversationId: 'four' });
      await harness.advance(1);
      await harness.store.finish(toFinish(reply, { seq: 1, content: 'Yes.' }));

      const { conversations } = await harness.store.listConversations('ada', { limit: 10 });

      expect(conversations.map((conversation) => conversation.conversationId)).toStrictEqual([
        'one',
        'four',
        'three',
        'two',
      ]);
      for (const conversation of conversations) {
        expect(await harness.store.loadConversation(conversation)).toStrictEqual(conversation);
      }
    });

    it('is its owner’s alone', async () => {
      await using harness = await open();
      await harness.store.createConversation(key);
      await harness.store.createConversation({ ...key, owner: 'bob', conversationId: 'garden' });
      expect(await listIds(harness.store, 'bob')).toStrictEqual(['garden']);
    });

    it('is paged without a hole or a repeat, also where many were used in one millisecond', async () => {
      await using harness = await open();
      const rooms = Array.from({ length: 23 }, (_, index) => `room ${index}`);
      await createRooms(harness, rooms.slice(0, 10));
      for (const conversationId of rooms.slice(10)) await harness.store.createConversation({ ...key, conversationId });

      const ids = await listIds(harness.store, 'ada', 4);

      expect(ids.toSorted()).toStrictEqual(rooms.toSorted());
      expect(ids.slice(13)).toStrictEqual(rooms.slice(0, 10).toReversed());
    });

    it('has no cursor where nothing follows', async () => {
      await using harness = await open();
      await createRooms(harness, ['one', 'two']);
      expect(await harness.store.listConversations('ada', { limit: 2 })).not.toHaveProperty('nextCursor');
      const { nextCursor } = await harness.store.listConversations('ada', { limit: 1 });
      expect(nextCursor).toBeTypeOf('string');
    });

    it('goes on after what has moved or is gone', async () => {
      await using harness = await open();
      await createRooms(harness, ['one', 'two', 'three', 'four', 'five']);
      const moved = await harness.store.listConversations('ada', { limit: 2 });
      await addTurn(harness, 'Yes.', { conversationId: 'four' }); // the last of the page
      await harness.advance(1);
      const next = { cursor: moved.nextCursor ?? '', limit: 2 };
      expect(await listPage(harness.store, next)).toStrictEqual(['three', 'two']);
      await harness.store.deleteConversation({ ...key, conversationId: 'three' });
      expect(await listPage(harness.store, next)).toStrictEqual(['two', 'one']);
    });

    it('shows nothing that is deleted or has expired', async () => {
      await using harness = await open();
      await createRooms(harness, ['one', 'two']);
      await harness.store.deleteConversation({ ...key, conversationId: 'two' });
      expect(await listIds(harness.store)).toStrictEqual(['one']);
      await harness.advance(harness.retention.conversationMs);
      expect(await listIds(harness.store)).toStrictEqual([]);
      await harness.store.createConversation({ ...key, conversationId: 'one' });
      expect(await listIds(harness.store)).toStrictEqual(['one']);
    });

    it('refuses a cursor that it has not made', async () => {
      await using harness = await open();
      for (const cursor of ['', 'x', '🫖', 'MS4x!', '9'.repeat(400)]) {
        const listing = harness.store.listConversations('ada', { cursor, limit: 1 });
        await expect(listing).rejects.toThrow(InvalidRequestError);
      }
    });
  });

  describe('a change of a conversation', () => {
    it('sets what it names, and takes away what it names as null', async () => {
      await using harness = await open();
      const settings = { systemPrompt: 'Be brief.', metadata: { floor: 2 }, model: 'qwen3:4b' };
      await harness.store.createConversation({ ...key, ...settings });
      await harness.advance(5);

      const titled = await harness.store.updateConversation(key, { title: 'Tea \ud83e', metadata: { floor: 3 } });

      const conversation = await harness.store.loadConversation(key);
      expect(titled).toStrictEqual({ type: 'updated', conversation });
      expect(conversation).toMatchObject({
        ...settings,
        title: 'Tea \ud83e',
        metadata: { floor: 3 },
        updatedAt: harness.now(),
      });

      await harness.store.updateConversation(key, { title: null, systemPrompt: null, metadata: null });
      const bare = await harness.store.loadConversation(key);
      expect(bare).toMatchObject({ model: 'qwen3:4b' });
      for (const name of ['title', 'systemPrompt', 'metadata']) expect(bare).not.toHaveProperty(name);
    });

    it('raises the version where it changes the system prompt, and only there', async () => {
      await using harness = await open();
      await harness.store.createConversation({ ...key, systemPrompt: 'Be brief.' });
      const update = async (patch: Parameters<ChatStore['updateConversation']>[1]): Promise<number> => {
        const before = (await harness.store.loadConversation(key))?.version ?? 0;
        await harness.store.updateConversation(key, patch);
        return ((await harness.store.loadConversation(key))?.version ?? 0) - before;
      };
      expect(await update({ title: 'Tea', metadata: {} })).toBe(0);
      expect(await update({ systemPrompt: 'Be brief.' })).toBe(0);
      expect(await update({ systemPrompt: 'Be long.' })).toBeGreaterThan(0);
      expect(await update({ systemPrompt: null })).toBeGreaterThan(0);
      expect(await update({ systemPrompt: null })).toBe(0);
    });

    it('makes a prompt stale that was made from the old one', async () => {
      await using harness = await open();
      await addTurn(harness, 'Yes.');
      const { conversation } = await harness.store.open(key, 'r');
      await harness.store.updateConversation(key, { systemPrompt: 'Be long.' });
      const late = toBegin(harness, { expectedVersion: conversation?.version ?? 0 });
      expect(await harness.store.begin(late)).toStrictEqual({ type: 'stale' });
    });

    it('leaves the reply that runs and the messages alone', async () => {
      await using harness = await open();
      const reply = await beginReply(harness);
      await harness.store.updateConversation(key, { title: 'Tea' });
      expect(await harness.store.finish(toFinish(reply, { seq: 1, content: 'Yes.' }))).toStrictEqual({ type: 'ok' });
      expect(await harness.store.loadConversation(key)).toMatchObject({ title: 'Tea', messageCount: 2 });
    });

    it('finds a conversation gone that is not there', async () => {
      await using harness = await open();
      expect(await harness.store.updateConversation(key, { title: 'Tea' })).toStrictEqual({ type: 'gone' });
      expect(await harness.store.loadConversation(key)).toBeUndefined();
    });
  });
};

/** Conversations, each used a millisecond after the one before. */
const createRooms = async (harness: StoreHarness, rooms: readonly string[]): Promise<void> => {
  for (const conversationId of rooms) {
    await harness.store.createConversation({ ...key, conversationId });
    await harness.advance(1);
  }
};

const listPage = async (
  store: ChatStore,
  page: { readonly cursor: string; readonly limit: number },
): Promise<string[]> =>
  (await store.listConversations('ada', page)).conversations.map((conversation) => conversation.conversationId);

/** The whole list, page by page. */
const listIds = async (store: ChatStore, owner = 'ada', limit = 3): Promise<string[]> => {
  const ids: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await store.listConversations(owner, { limit, ...(cursor !== undefined && { cursor }) });
    ids.push(...page.conversations.map((conversation) => conversation.conversationId));
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return ids;
};
