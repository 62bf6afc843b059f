import { describe, expect, it } from 'vitest';
import type { ConversationKey } from '../../../src/stores/chat-store.ts';
import { addTurn, beginReply, key, type OpenHarness, readAll, toAppend, toBegin, toClosing } from './fixtures.ts';

const LONG = 'Grüße, 世界 🫖! '.repeat(16_384); // 256 KiB in UTF-16 units
const LONE_HIGH = 'half \ud83e pair';
const LONE_LOW = 'half \uded6 pair';

const TEXTS: Readonly<Record<string, string>> = {
  'of every script': 'Grüße 世界 שלום ไทย 👩‍🚒 é',
  'with control characters': 'a\0b\u0001c\u2028d\r\n\te\u007f',
  'with quotes and braces': `{"a": '\\"}, {s00} \`\${x}\` --; %s`,
  'of 256 KiB': LONG,
  'with half of a surrogate pair': `${LONE_HIGH}${LONE_LOW}`,
};

const IDS = [
  ' ',
  'a b',
  '🫖',
  '"',
  "it's",
  '{s01}',
  '}{',
  '\\',
  '\\u0000',
  '\0',
  'a\0b',
  'a',
  'A',
  '%',
  '__proto__',
  '\u00e9',
  'e\u0301',
];
const LONE_IDS = [LONE_HIGH, LONE_LOW, 'half \ufffd pair', 'half \\ud83e pair'];

/** JavaScript's strings come back unit by unit, even where they are no text: half of a surrogate pair too. */
export const describeTexts = (open: OpenHarness): void => {
  describe('text', () => {
    for (const [name, text] of Object.entries(TEXTS)) {
      it(`${name} comes back as it was`, async () => {
        await using harness = await open();
        const { userMessage } = toBegin(harness);
        const systemPrompt = text;
        const reply = await beginReply(harness, { userMessage: { ...userMessage, content: text }, systemPrompt });
        await harness.store.append([toAppend(reply, 1, text, text)]);
        await harness.store.cancel(toClosing(reply));

        expect(await readAll(harness.store, reply)).toMatchObject([{ event: { text } }, { event: { text } }, {}]);
        const messages = await harness.store.loadMessages(key, { limit: 10 });
        expect(messages?.map((message) => message.content)).toStrictEqual([text, text + text]);
        expect(await harness.store.loadConversation(key)).toMatchObject({ systemPrompt: text });
      });
    }
  });

  describe('an id', () => {
    it('may have any characters, and is like no other', async () => {
      await using harness = await open();
      const keys: ConversationKey[] = [...IDS, ...LONE_IDS].flatMap((id) => [
        { owner: id, conversationId: 'kitchen' },
        { owner: 'ada', conversationId: id },
      ]);
      await Promise.all(
        keys.map((of) => addTurn(harness, JSON.stringify(of), { ...of, requestId: of.conversationId })),
      );

      for (const of of keys) {
        const { conversation, window, request } = await harness.store.open(of, of.conversationId);
        expect(conversation).toMatchObject({ ...of, messageCount: 2 });
        expect(window.at(-1)?.content).toBe(JSON.stringify(of));
        expect(await harness.store.loadReply(request?.messageId ?? '')).toMatchObject(of);
      }
    });
  });
};
