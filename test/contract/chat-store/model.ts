import { isDeepStrictEqual } from 'node:util';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Call, type Command, commands, toCall, type World } from './model-calls.ts';
import { type ModelState, type Observation, observeModel } from './model-state.ts';
import { newName, type OpenHarness, readAll, readWindow, type StoreHarness } from './fixtures.ts';

const RUNS = 200;

/** Any operations in any order, some at once, answer as a small model does in some order of theirs. */
export const describeModel = (open: OpenHarness): void => {
  describe('any sequence of operations', () => {
    it('answers as the model does, in some order where operations run at once', async () => {
      await using harness = await open();
      const groups = fc.array(fc.array(commands, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 12 });
      const property = fc.asyncProperty(groups, (run) => checkRun(harness, run));
      await expect(fc.assert(property, { numRuns: RUNS })).resolves.toBeUndefined();
    });
  });
};

const checkRun = async (harness: StoreHarness, groups: readonly (readonly Command[])[]): Promise<void> => {
  const rooms = [newName('room'), newName('room')] as const;
  const world: World = { harness, rooms, tokens: new Map(), messageIds: [] };
  let states: readonly ModelState[] = [{ rooms: {}, replies: {} }];
  for (const group of groups) {
    const calls = await Promise.all(group.map((command) => toCall(world, command)));
    const answers = await Promise.all(calls.map((call) => call.run()));
    const observed = await observe(harness, rooms, world.messageIds);
    const explained = states.flatMap((state) => explain(state, calls, answers));
    states = distinct(explained.filter((state) => isDeepStrictEqual(observeModel(state, rooms), observed)));
    expect(states.length, `no order explains ${JSON.stringify({ group, answers, observed })}`).toBeGreaterThan(0);
  }
};

/** The states that the model may be in after these calls, for each order that gives these answers. */
const explain = (state: ModelState, calls: readonly Call[], answers: readonly unknown[]): readonly ModelState[] =>
  permute(calls.map((_, index) => index)).flatMap((order) => {
    const after = structuredClone(state);
    const isExplained = order.every((index) => isDeepStrictEqual(calls[index]?.apply(after), answers[index]));
    return isExplained ? [after] : [];
  });

const permute = (indexes: readonly number[]): readonly (readonly number[])[] =>
  indexes.length === 0
    ? [[]]
    : indexes.flatMap((first) => permute(indexes.filter((index) => index !== first)).map((rest) => [first, ...rest]));

const distinct = (states: readonly ModelState[]): readonly ModelState[] => [
  ...new Map(states.map((state) => [JSON.stringify(state), state])).values(),
];

/** What the store says of everything that this run has touched. */
const observe = async (
  { store }: StoreHarness,
  rooms: readonly string[],
  messageIds: readonly string[],
): Promise<Observation> => {
  const observation: Observation = { rooms: {}, replies: {} };
  for (const room of rooms) {
    const of = { owner: 'ada', conversationId: room };
    const conversation = await store.loadConversation(of);
    if (!conversation) continue;
    const messages = (await store.loadMessages(of, { limit: 1_000 })) ?? [];
    expect(messages.map((message) => message.position)).toStrictEqual(messages.map((_, index) => index + 1));
    observation.rooms[room] = {
      active: conversation.activeReply,
      messages: messages.map((message) => message.content),
      window: [...(await readWindow(store, of))],
    };
  }
  for (const messageId of messageIds) {
    const reply = await store.loadReply(messageId);
    if (!reply) continue;
    const log = await readAll(store, { messageId });
    expect(log.map((entry) => entry.seq)).toStrictEqual(log.map((_, index) => index + 1));
    expect(reply.seq).toBe(log.length);
    const texts = log.map(({ event }) => ('text' in event ? event.text : ''));
    observation.replies[messageId] = { state: reply.state, log: texts };
  }
  return observation;
};
