import { describe, expect, it } from 'vitest';
import type { Replacement } from '../../../src/stores/chat-store.ts';
import {
  addTurn,
  beginAgain,
  beginReply,
  failed,
  key,
  type OpenHarness,
  readWindow,
  type RunningReply,
  type StoreHarness,
  toAppend,
  toBegin,
  toClosing,
  toFinish,
} from './fixtures.ts';

/** Edits and other answers: they take the place of what was said when they end, all of it at once. */
export const describeAskingAgain = (open: OpenHarness): void => {
  describe('an edit', () => {
    it('changes nothing of the thread while it runs', async () => {
      await using harness = await open();
      await addTurns(harness, 'one', 'two');
      const { messageId } = await beginEdit(harness, 'Two, edited?', { from: 3, window: [1, 2], cut: NO_CUT });

      expect(await readWindow(harness.store)).toStrictEqual(['one?', 'one', 'two?', 'two']);
      const conversation = await harness.store.loadConversation(key);
      expect(conversation).toMatchObject({ messageCount: 5, replaced: [], activeReply: messageId });
      expect(await harness.store.loadMessages(key, { limit: 1 })).toMatchObject([
        { position: 5, content: 'Two, edited?', editOf: 'question two' },
      ]);
    });

    for (const [how, end] of Object.entries(ENDINGS)) {
      it(`takes the place of what was said when it is ${how} with text`, async () => {
        await using harness = await open();
        await addTurns(harness, 'one', 'two');
        const reply = await beginEdit(harness, 'Two, edited?', { from: 3, window: [1, 2], cut: NO_CUT });
        await harness.store.append([toAppend(reply, 1, 'new')]);
        const { version = 0 } = (await harness.store.loadConversation(key)) ?? {};
        await end(harness, reply, 'new');

        expect(await readWindow(harness.store)).toStrictEqual(['one?', 'one', 'Two, edited?', 'new']);
        const conversation = await harness.store.loadConversation(key);
        expect(conversation).toMatchObject({
          messageCount: 6,
          replaced: [{ first: 3, last: 4 }],
          version: version + 1,
        });
        expect(await readMessages(harness)).toStrictEqual(['one?', 'one', 'two?', 'two', 'Two, edited?', 'new']);
      });

      it(`changes nothing when it is ${how} without a word`, async () => {
        await using harness = await open();
        await addTurns(harness, 'one', 'two');
        const replaces = { from: 3, window: [1, 2], cut: { position: 2, droppedTurns: 1 } };
        const reply = await beginEdit(harness, 'Two, edited?', replaces);
        await end(harness, reply, '');

        expect(await readWindow(harness.store)).toStrictEqual(['one?', 'one', 'two?', 'two']);
        expect(await harness.store.loadConversation(key)).toMatchObject({ messageCount: 6, replaced: [], cut: NO_CUT });
        await addTurn(harness, 'three', { userMessage: toQuestion(harness, 'three') });
        expect(await readWindow(harness.store)).toStrictEqual(['one?', 'one', 'two?', 'two', 'three?', 'three']);
      });
    }

    it('takes the place of what was said, too, when the model had nothing to say and was done', async () => {
      await using harness = await open();
      await addTurns(harness, 'one');
      const reply = await beginEdit(harness, 'One, edited?', { from: 1, window: [], cut: NO_CUT });
      await harness.store.finish(toFinish(reply, { seq: 1, content: '' }));
      expect(await readWindow(harness.store)).toStrictEqual(['One, edited?', '']);
    });

    it('of an edit takes its place, and the replaced positions grow together', async () => {
      await using harness = await open();
      await addTurns(harness, 'one', 'two');
      await edit(harness, 'b', { from: 3, window: [1, 2], cut: NO_CUT });
      expect(await readReplaced(harness)).toStrictEqual([{ first: 3, last: 4 }]);
      await edit(harness, 'c', { from: 5, window: [1, 2], cut: NO_CUT });
      expect(await readReplaced(harness)).toStrictEqual([{ first: 3, last: 6 }]);
      expect(await readWindow(harness.store)).toStrictEqual(['one?', 'one', 'c?', 'c']);
      await edit(harness, 'd', { from: 1, window: [], cut: NO_CUT });
      expect(await readReplaced(harness)).toStrictEqual([{ first: 1, last: 8 }]);
      expect(await readWindow(harness.store)).toStrictEqual(['d?', 'd']);
    });

    it('moves the cut, back too', async () => {
      await using harness = await open();
      await addTurns(harness, 'one', 'two');
      await addTurn(harness, 'three', {
        userMessage: toQuestion(harness, 'three'),
        cut: { position: 4, droppedTurns: 2 },
      });
      const running = await beginEdit(harness, 'b?', { from: 3, window: [1, 2], cut: NO_CUT });
      expect(await readWindow(harness.store)).toStrictEqual(['three?', 'three']);
      await harness.store.finish(toFinish(running, { seq: 1, content: 'b' }));

      expect(await readWindow(harness.store)).toStrictEqual(['one?', 'one', 'b?', 'b']);
      expect(await harness.store.loadConversation(key)).toMatchObject({
        cut: NO_CUT,
        replaced: [{ first: 3, last: 6 }],
      });
      await addTurn(harness, 'c', { userMessage: toQuestion(harness, 'c'), cut: { position: 2, droppedTurns: 1 } });
      expect(await readWindow(harness.store)).toStrictEqual(['b?', 'b', 'c?', 'c']);
    });

    it('moves no cut before its end, whatever cut its prompt has', async () => {
      await using harness = await open();
      await addTurns(harness, 'one', 'two');
      const cut = { position: 2, droppedTurns: 1 };
      const replaces = { from: 3, window: [], cut };
      const reply = await beginReply(harness, { userMessage: toQuestion(harness, 'b'), cut, replaces });
      expect(await readWindow(harness.store)).toStrictEqual(['one?', 'one', 'two?', 'two']);
      await harness.store.cancel(toClosing(reply));
      expect(await harness.store.loadConversation(key)).toMatchObject({ cut: NO_CUT });
      expect(await readWindow(harness.store)).toStrictEqual(['one?', 'one', 'two?', 'two']);
    });

    it('leaves in the window what it names and nothing else', async () => {
      await using harness = await open();
      await addTurns(harness, 'one', 'two', 'three');
      await edit(harness, 'b', { from: 5, window: [3, 4], cut: NO_CUT });
      expect(await readWindow(harness.store)).toStrictEqual(['two?', 'two', 'b?', 'b']);
      await edit(harness, 'c', { from: 7, window: [1, 2, 3, 4], cut: NO_CUT });
      expect(await readWindow(harness.store)).toStrictEqual(['one?', 'one', 'two?', 'two', 'c?', 'c']);
      await edit(harness, 'd', { from: 9, window: [3, 4], cut: { position: 2, droppedTurns: 1 } });
      expect(await readWindow(harness.store)).toStrictEqual(['two?', 'two', 'd?', 'd']);
    });

    it('is answered as the first time when the very same call comes again', async () => {
      await using harness = await open();
      await addTurns(harness, 'one');
      const { begin, token } = await beginEdit(harness, 'b?', { from: 1, window: [], cut: NO_CUT });
      expect(await harness.store.begin(begin)).toStrictEqual({ type: 'begun', token });
      expect(await readMessages(harness)).toStrictEqual(['one?', 'one', 'b?']);
    });

    it('is stale when the conversation has changed since it was opened', async () => {
      await using harness = await open();
      await addTurns(harness, 'one');
      const { version = 0 } = (await harness.store.loadConversation(key)) ?? {};
      await addTurns(harness, 'two');
      const replaces = { from: 1, window: [], cut: NO_CUT };
      const begin = toBegin(harness, { replaces, expectedVersion: version });
      expect(await harness.store.begin(begin)).toStrictEqual({ type: 'stale' });
      expect(await readMessages(harness)).toStrictEqual(['one?', 'one', 'two?', 'two']);
    });

    it('goes with its conversation while it runs', async () => {
      await using harness = await open();
      await addTurns(harness, 'one');
      const reply = await beginEdit(harness, 'b?', { from: 1, window: [], cut: NO_CUT });
      await harness.store.deleteConversation(key);
      expect(await harness.store.finish(toFinish(reply, { seq: 1, content: 'b' }))).toStrictEqual({ type: 'gone' });
      await addTurns(harness, 'two');
      expect(await readWindow(harness.store)).toStrictEqual(['two?', 'two']);
      expect(await readReplaced(harness)).toStrictEqual([]);
    });
  });

  describe('another answer', () => {
    for (const [how, end] of Object.entries(ENDINGS)) {
      it(`takes the place of the one before when it is ${how} with text`, async () => {
        await using harness = await open();
        const [, second] = await addTurns(harness, 'one', 'two');
        const reply = await beginVariant(harness, second?.messageId ?? '', TWO_AGAIN);
        expect(await readWindow(harness.store)).toStrictEqual(['one?', 'one', 'two?', 'two']);
        expect(await harness.store.loadConversation(key)).toMatchObject({ messageCount: 4 });
        await harness.store.append([toAppend(reply, 1, 'other')]);
        await end(harness, reply, 'other');

        expect(await readWindow(harness.store)).toStrictEqual(['one?', 'one', 'two?', 'other']);
        expect(await harness.store.loadConversation(key)).toMatchObject({ messageCount: 5 });
        expect(await readReplaced(harness)).toStrictEqual([{ first: 4, last: 4 }]);
        const variantOf = second?.messageId;
        const own = { id: reply.messageId, content: 'other', variantOf };
        expect(await harness.store.loadReplyMessage(reply.messageId)).toMatchObject(own);
        expect(await harness.store.loadReply(reply.messageId)).toMatchObject({ variantOf });
        expect(await harness.store.loadReplyMessage(variantOf ?? '')).toMatchObject({ content: 'two' });
      });

      it(`leaves question and answer as they are when it is ${how} without a word`, async () => {
        await using harness = await open();
        const [, second] = await addTurns(harness, 'one', 'two');
        const reply = await beginVariant(harness, second?.messageId ?? '', TWO_AGAIN);
        await end(harness, reply, '');
        expect(await readWindow(harness.store)).toStrictEqual(['one?', 'one', 'two?', 'two']);
        expect(await readReplaced(harness)).toStrictEqual([]);
        expect(await readMessages(harness)).toStrictEqual(['one?', 'one', 'two?', 'two', '']);
      });
    }

    it('to a question that failed without a word brings the question back', async () => {
      await using harness = await open();
      const question = toQuestion(harness, 'one');
      const { messageId } = await addTurn(harness, '', { userMessage: question, outcome: failed });
      expect(await readWindow(harness.store)).toStrictEqual([]);
      const reply = await beginVariant(harness, messageId, { from: 2, window: [1], cut: NO_CUT });
      await harness.store.finish(toFinish(reply, { seq: 1, content: 'one' }));
      expect(await readWindow(harness.store)).toStrictEqual(['one?', 'one']);
    });

    it('to an earlier question lets go of all that followed, in ranges apart', async () => {
      await using harness = await open();
      await addTurns(harness, 'one', 'two');
      await edit(harness, 'b', { from: 3, window: [1, 2], cut: NO_CUT });
      const last = await beginVariant(harness, 'b', { from: 6, window: [1, 2, 5], cut: NO_CUT });
      await harness.store.finish(toFinish(last, { seq: 1, content: 'c' }));
      expect(await readReplaced(harness)).toStrictEqual([
        { first: 3, last: 4 },
        { first: 6, last: 6 },
      ]);
      const first = await beginVariant(harness, 'one', { from: 2, window: [1], cut: NO_CUT });
      await harness.store.finish(toFinish(first, { seq: 1, content: 'd' }));
      expect(await readReplaced(harness)).toStrictEqual([{ first: 2, last: 7 }]);
      expect(await readWindow(harness.store)).toStrictEqual(['one?', 'd']);
    });
  });

  describe('the tokens of a prompt', () => {
    it('are kept with its reply, while it runs and after', async () => {
      await using harness = await open();
      const reply = await beginReply(harness, { promptTokens: 321 });
      expect(await harness.store.loadReply(reply.messageId)).toMatchObject({ promptTokens: 321 });
      await harness.advance(4_000);
      expect(await harness.store.findAbandoned(10)).toMatchObject([{ promptTokens: 321 }]);
      await harness.store.finish(toFinish(reply, { seq: 1, content: 'Yes.' }));
      expect(await harness.store.loadReply(reply.messageId)).toMatchObject({ promptTokens: 321 });
    });
  });
};

const NO_CUT = { position: 0, droppedTurns: 0 };
/** The second of two turns is answered again. */
const TWO_AGAIN: Replacement = { from: 4, window: [1, 2, 3], cut: NO_CUT };

type End = (harness: StoreHarness, reply: RunningReply, content: string) => Promise<void>;

/** The three ways to an end. What was said is in the log already. */
const ENDINGS: Readonly<Record<string, End>> = {
  finished: async ({ store }, reply, content) => {
    const outcome = content === '' ? { outcome: failed } : {};
    const answer = await store.finish(toFinish(reply, { seq: content === '' ? 1 : 2, content, ...outcome }));
    expect(answer).toStrictEqual({ type: 'ok' });
  },
  cancelled: async ({ store }, reply) => {
    expect(await store.cancel(toClosing(reply))).toMatchObject({ type: 'ok' });
  },
  sealed: async (harness, reply) => {
    await harness.advance(4_000);
    expect(await harness.store.seal(toClosing(reply, failed))).toMatchObject({ type: 'ok' });
  },
};

const toQuestion = (harness: StoreHarness, name: string): ReturnType<typeof toBegin>['userMessage'] => ({
  ...toBegin(harness).userMessage,
  id: `question ${name}`,
  content: `${name}?`,
});

/** Turns that ask `name?` and are answered by `name`. */
const addTurns = async (harness: StoreHarness, ...names: readonly string[]): Promise<readonly RunningReply[]> => {
  const turns: RunningReply[] = [];
  for (const name of names) turns.push(await addTurn(harness, name, { userMessage: toQuestion(harness, name) }));
  return turns;
};

const beginEdit = (harness: StoreHarness, content: string, replaces: Replacement): Promise<RunningReply> =>
  beginReply(harness, { userMessage: { ...toQuestion(harness, 'edit'), content, editOf: 'question two' }, replaces });

/** A whole edit, answered by `name`. */
const edit = async (harness: StoreHarness, name: string, replaces: Replacement): Promise<void> => {
  const reply = await beginEdit(harness, `${name}?`, replaces);
  await harness.store.finish(toFinish(reply, { seq: 1, content: name }));
};

/** The question is the last message of the window that is named. */
const beginVariant = (harness: StoreHarness, variantOf: string, replaces: Replacement): Promise<RunningReply> => {
  const questionPosition = replaces.window.at(-1) ?? 0;
  return beginAgain(harness, { variantOf, questionPosition, replaces });
};

const readMessages = async ({ store }: StoreHarness): Promise<readonly string[] | undefined> =>
  (await store.loadMessages(key, { limit: 100 }))?.map((message) => message.content);

const readReplaced = async ({ store }: StoreHarness): Promise<unknown> => (await store.loadConversation(key))?.replaced;
