import * as fc from 'fast-check';
import type { ConversationKey, SealAnswer } from '../../../src/stores/chat-store.ts';
import {
  newName,
  type RunningReply,
  type StoreHarness,
  toAppend,
  toBegin,
  toClosing,
  toFinish,
  done,
  failed,
} from './fixtures.ts';
import {
  appendModel,
  beginModel,
  cancelModel,
  deleteModel,
  endModel,
  type ModelState,
  sealModel,
} from './model-state.ts';

/** What one run knows: two conversations, and the replies that it asked for, with the tokens that it was given. */
export interface World {
  readonly harness: StoreHarness;
  readonly rooms: readonly [string, string];
  readonly tokens: Map<string, string>;
  readonly messageIds: string[];
}

/** An operation with its values: what it answers, and what the model answers to it. */
export interface Call {
  run(): Promise<unknown>;
  /** Changes the model. It is asked after the run, when a new token is known. */
  apply(state: ModelState): unknown;
}

const room = fc.constantFrom(0, 1);
const reply = fc.nat(2);
const offset = fc.constantFrom(0, 0, 0, 0, -1, -2, 1);
const isForeign = fc.constantFrom(false, false, false, true);

export const commands = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('begin'),
      room,
      request: fc.nat(3),
      body: fc.constantFrom(0, 0, 0, 1),
      isLate: isForeign,
    }),
  },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('append'), reply, offset, count: fc.nat(3), isForeign }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('finish'), reply, offset, isSilent: fc.boolean(), isForeign }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cancel'), reply }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('seal'), reply }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('delete'), room }) },
);

export type Command = typeof commands extends fc.Arbitrary<infer Value> ? Value : never;
type CommandOf<Kind extends Command['kind']> = Extract<Command, { readonly kind: Kind }>;

/** Gives a command its values, from what can be known before it runs. */
export const toCall = async (world: World, command: Command): Promise<Call> => {
  switch (command.kind) {
    case 'begin':
      return toBeginCall(world, command);
    case 'append':
      return toAppendCall(world, command);
    case 'finish':
      return toFinishCall(world, command);
    case 'cancel':
      return toCancelCall(world, command);
    case 'seal':
      return toSealCall(world, command);
    default:
      return toDeleteCall(world, command);
  }
};

const toBeginCall = async (world: World, command: CommandOf<'begin'>): Promise<Call> => {
  const { harness, tokens } = world;
  const of = toKey(world, command.room);
  const { conversation } = await harness.store.open(of, 'none');
  const begin = toBegin(harness, {
    ...of,
    requestId: `request ${command.request}`,
    fingerprint: `body ${command.body}`,
    expectedVersion: command.isLate ? 1_000 : (conversation?.version ?? 0),
  });
  const [first] = (await harness.store.loadMessages(of, { before: 2, limit: 1 })) ?? [];
  const seen = { messageCount: conversation?.messageCount ?? 0, firstId: first?.id };
  world.messageIds.push(begin.messageId);
  const { requestId, fingerprint, messageId, userMessage } = begin;
  return {
    run: async () => {
      const answer = await harness.store.begin(begin);
      if (answer.type === 'begun') tokens.set(messageId, answer.token);
      return answer;
    },
    apply: (state) =>
      beginModel(state, {
        requestId,
        fingerprint,
        messageId,
        room: of.conversationId,
        content: userMessage.content,
        id: userMessage.id,
        seen: command.isLate ? undefined : seen,
        token: tokens.get(messageId) ?? '',
      }),
  };
};

const toAppendCall = async (world: World, command: CommandOf<'append'>): Promise<Call> => {
  const target = toReply(world, command);
  const seq = await toSeq(world, target.messageId, command.offset);
  const texts = Array.from({ length: command.count }, () => newName('text'));
  return {
    run: async () => (await world.harness.store.append([toAppend(target, seq, ...texts)]))[0],
    apply: (state) => appendModel(state, { messageId: target.messageId, token: target.token, seq, texts }),
  };
};

const toFinishCall = async (world: World, command: CommandOf<'finish'>): Promise<Call> => {
  const target = toReply(world, command);
  const seq = await toSeq(world, target.messageId, command.offset);
  const content = command.isSilent ? '' : newName('text');
  const outcome = command.isSilent ? failed : done;
  return {
    run: () => world.harness.store.finish(toFinish(target, { seq, content, outcome })),
    apply: (state) => {
      const { messageId, token } = target;
      const answer = appendModel(state, { messageId, token, seq, texts: [content] });
      if (answer.type === 'ok') endModel(state, messageId, { state: outcome.state, content });
      return answer;
    },
  };
};

const toCancelCall = (world: World, command: CommandOf<'cancel'>): Call => {
  const { messageId } = toReply(world, command);
  return {
    run: async () => toText(await world.harness.store.cancel(toClosing({ messageId }))),
    apply: (state) => cancelModel(state, messageId),
  };
};

const toSealCall = (world: World, command: CommandOf<'seal'>): Call => {
  const { messageId } = toReply(world, command);
  return {
    run: async () => toText(await world.harness.store.seal(toClosing({ messageId }))),
    apply: (state) => sealModel(state, messageId),
  };
};

const toDeleteCall = (world: World, command: CommandOf<'delete'>): Call => {
  const of = toKey(world, command.room);
  return {
    run: () => world.harness.store.deleteConversation(of),
    apply: (state) => deleteModel(state, of.conversationId),
  };
};

const toKey = ({ rooms }: World, index: number): ConversationKey => ({
  owner: 'ada',
  conversationId: index === 0 ? rooms[0] : rooms[1],
});

/** One of the replies that were asked for last. */
const toReply = (
  { harness, tokens, messageIds }: World,
  command: { readonly reply: number; readonly isForeign?: boolean },
): RunningReply => {
  const messageId = messageIds.at(-1 - (command.reply % Math.max(messageIds.length, 1))) ?? 'nobody';
  const token = command.isForeign ? 'foreign' : (tokens.get(messageId) ?? 'unknown');
  return { begin: toBegin(harness, { messageId }), messageId, token };
};

const toSeq = async ({ harness }: World, messageId: string, shift: number): Promise<number> =>
  ((await harness.store.loadReply(messageId))?.seq ?? 0) + 1 + shift;

/** A close's answer without what the model does not make. */
const toText = (answer: SealAnswer): unknown =>
  answer.type === 'ok' && answer.entry.event.type === 'end' ? { type: 'ok', text: answer.entry.event.text } : answer;
