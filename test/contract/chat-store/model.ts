import { isDeepStrictEqual } from 'node:util';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Call, type Command, commands, PRELUDE, toCall, type World } from './model-calls.ts';
import {
  EMPTY,
  type ModelState,
  type ObservedReply,
  type ObservedRoom,
  type Observation,
  observeModel,
} from './model-state.ts';
import { newName, type OpenHarness, readAll, type StoreHarness } from './fixtures.ts';

const RUNS = 80;

/** Any operations in any order, some at once, answer as a small model does in some order of theirs. */
export const describeModel = (open: OpenHarness): void => {
  describe('any sequence of operations', () => {
    it('answers as the model does, in some order where operations run at once', async () => {
      await using harness = await open();
      const group = fc.array(commands, { minLength: 1, maxLength: 3 });
      const groups = fc.array(group, { minLength: 1, maxLength: 20, size: 'max' }); // long ones as often as short ones
      const property = fc.asyncProperty(groups, (run) =>
        checkRun(harness, [...PRELUDE.map((command) => [command]), ...run]),
      );
      await expect(fc.assert(property, { numRuns: RUNS })).resolves.toBeUndefined();
    });
  });
};

const checkRun = async (harness: StoreHarness, groups: readonly (readonly Command[])[]): Promise<void> => {
  const rooms = [newName('room'), newName('room')] as const;
  const world: World = { harness, rooms, tokens: new Map(), begins: new Map(), messageIds: [] };
  let states: readonly ModelState[] = [EMPTY];
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
    const isExplained = order.every((index) => isDeepStrictEqual(calls[index]?.apply(after, state), answers[index]));
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
  harness: StoreHarness,
  rooms: readonly string[],
  messageIds: readonly string[],
): Promise<Observation> => {
  const [observedRooms, observedReplies] = await Promise.all([
    Promise.all(rooms.map(async (room) => [room, await observeRoom(harness, room)] as const)),
    Promise.all(messageIds.map(async (messageId) => [messageId, await observeReply(harness, messageId)] as const)),
  ]);
  return { rooms: withoutGone(observedRooms), replies: withoutGone(observedReplies) };
};

const withoutGone = <Observed>(all: readonly (readonly [string, Observed | undefined])[]): Record<string, Observed> =>
  Object.fromEntries(all.flatMap(([name, observed]) => (observed ? [[name, observed]] : [])));

const observeRoom = async ({ store }: StoreHarness, room: string): Promise<ObservedRoom | undefined> => {
  const of = { owner: 'ada', conversationId: room };
  const [{ conversation, window }, messages = []] = await Promise.all([
    store.open(of, 'none'),
    store.loadMessages(of, { limit: 1_000 }),
  ]);
  if (!conversation) return undefined;
  expect(messages.map((message) => message.position)).toStrictEqual(messages.map((_, index) => index + 1));
  expect(window).toStrictEqual(window.map(({ position }) => messages[position - 1]));
  expect(conversation.messageCount).toBe(messages.length);
  return {
    active: conversation.activeReply,
    messages: messages.map((message) => message.content),
    window: window.map((message) => message.position),
    cut: conversation.cut.position,
    replaced: conversation.replaced,
    summaries: conversation.summaries.map(({ position, text }) => ({ position, text })),
  };
};

const observeReply = async ({ store }: StoreHarness, messageId: string): Promise<ObservedReply | undefined> => {
  const [reply, log, message] = await Promise.all([
    store.loadReply(messageId),
    readAll(store, { messageId }),
    store.loadReplyMessage(messageId),
  ]);
  if (!reply) return undefined;
  expect(log.map((entry) => entry.seq)).toStrictEqual(log.map((_, index) => index + 1));
  expect(reply.seq).toBe(log.length);
  const texts = log.map(({ event }) => ('text' in event ? event.text : ''));
  return { state: reply.state, log: texts, message: message?.content };
};
