import { describe, expect, it } from 'vitest';
import { openChatRig } from '../support/chat-service.ts';
import { ask, saying, toDroppedTurns } from './again-rig.ts';

interface Sent {
  readonly role: string;
  readonly content: string;
}

const TURNS = 40;
const MAX_TURNS = 10;
/** Tokens that are read anew over all prompts: as this service cuts, and as it would be turn by turn. */
const [IN_BLOCKS, SLIDING] = [3_453, 17_952];

const toWords = (word: string, turn: number, count: number): string => `${word}${turn} `.repeat(count).trim();

/** As the scripted Ollama counts: a token for four bytes, and four for a message. */
const countTokens = (messages: readonly Sent[]): number =>
  messages.reduce((sum, { content }) => sum + 4 + Math.ceil(Buffer.byteLength(content) / 4), 0);

const isPrefix = (beginning: readonly Sent[], whole: readonly Sent[]): boolean =>
  JSON.stringify(whole.slice(0, beginning.length)) === JSON.stringify(beginning);

/** Of each prompt, what a cache does not have that has kept the one before. */
const countNew = (prompts: readonly (readonly Sent[])[]): number =>
  prompts.reduce((sum, prompt, index) => {
    const before = prompts[index - 1] ?? [];
    const other = before.findIndex((_, at) => !isPrefix(before.slice(0, at + 1), prompt));
    return sum + countTokens(prompt.slice(other === -1 ? before.length : other));
  }, 0);

/** The prompts of a window that has always the newest turns, of the same conversation. */
const slide = (system: Sent, said: readonly Sent[]): readonly (readonly Sent[])[] =>
  Array.from({ length: TURNS }, (_, turn) => [
    system,
    ...said.slice(Math.max(0, turn - (MAX_TURNS - 1)) * 2, turn * 2 + 1),
  ]);

describe(`the prompts of ${TURNS} turns`, () => {
  it(`begin alike but where a block is cut off: a prefix cache reads ${IN_BLOCKS} tokens anew, and ${SLIDING} with a window that slides`, async () => {
    await using rig = await openChatRig({ settings: { LLM_MAX_TURNS: String(MAX_TURNS) } });
    const droppedTurns: number[] = [];
    for (let turn = 0; turn < TURNS; turn++) {
      const { messageId } = await ask(rig, toWords('why', turn, 12), saying(toWords('so', turn, 30)));
      droppedTurns.push(await toDroppedTurns(rig, messageId));
    }
    const { chats } = rig.ollama.ledger;
    const prompts = chats.map(({ body }) => (Object(body) as { messages: readonly Sent[] }).messages); // as it takes them
    expect(prompts.map(countTokens)).toEqual(chats.map(({ promptTokens }) => promptTokens));

    const borders = prompts.flatMap((prompt, index) => {
      const before = prompts[index - 1] ?? [];
      if (droppedTurns[index] !== (droppedTurns[index - 1] ?? 0)) return [index];
      expect(isPrefix(before, prompt)).toBe(true);
      expect(prompt).toHaveLength(index === 0 ? 2 : before.length + 2); // the answer, and the next question
      return [];
    });
    expect(borders).toEqual([10, 16, 22, 28, 34]);

    const [system, ...first] = prompts[0] ?? [];
    if (!system) throw new Error('there is no system prompt');
    const page = await rig.chat.listMessages('c1', { limit: 200 });
    const said = page.success ? page.messages.map(({ role, content }) => ({ role, content })) : [];
    expect(said.slice(0, 1)).toEqual(first);
    expect([countNew(prompts), countNew(slide(system, said))]).toEqual([IN_BLOCKS, SLIDING]);
    expect(IN_BLOCKS).toBeLessThanOrEqual(SLIDING / 3);
  });
});
