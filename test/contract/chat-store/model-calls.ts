import * as fc from 'fast-check';
import type { StoredMessage } from '../../../src/conversation/message.ts';
import type { Begin, Conversation, ConversationKey, Replacement, SealAnswer } from '../../../src/stores/chat-store.ts';
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
  keepModel,
  type ModelState,
  sealModel,
} from './model-state.ts';

/** What one run knows: two conversations, and the replies that it asked for, with the tokens that it was given. */
export interface World {
  readonly harness: StoreHarness;
  readonly rooms: readonly [string, string];
  readonly tokens: Map<string, string>;
  readonly begins: Map<string, Begin>;
  readonly messageIds: string[];
}

/** An operation with its values: what it answers, and what the model answers to it. */
export interface Call {
  run(): Promise<unknown>;
  /** Changes the model, which was `before` when the call was made. It is asked after the run, when a new token is known. */
  apply(state: ModelState, before: ModelState): unknown;
}

/** A reply that may not have begun. */
const LAST_ASKED = -1;

const room = fc.constantFrom(0, 0, 0, 1);
const reply = fc.constantFrom(0, 0, 0, 0, 0, 0, 1, 2, LAST_ASKED);
const offset = fc.constantFrom(0, 0, 0, 0, 0, 0, 0, -1, -2, 1);
const isForeign = fc.constantFrom(false, false, false, false, false, false, false, true);

export const commands = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('begin'),
      room,
      request: fc.nat(11),
      body: fc.constantFrom(0, 0, 0, 1),
      isLate: isForeign,
      how: fc.constantFrom('ask', 'edit', 'variant', 'go-on', 'go-on'),
      at: fc.constantFrom(0, 0, 0, 1, 1, 2, 3),
      cut: fc.constantFrom(0, 0, 1, 2),
    }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('append'), reply, offset, count: fc.nat(3), isForeign }) },
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant('finish'),
      reply,
      offset,
      isSilent: fc.constantFrom(false, false, true),
      isForeign,
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('cancel'), reply }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('seal'), reply }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('delete'), room }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('summarize'), room, position: fc.nat(6), isForeign }) },
);

/** Two turns of one conversation: something that can be asked again. */
export const PRELUDE: readonly Command[] = [100, 101].flatMap((request) => [
  { kind: 'begin', room: 0, request, body: 0, isLate: false, how: 'ask', at: 0, cut: 0 },
  { kind: 'finish', reply: 0, offset: 0, isSilent: false, isForeign: false },
]);

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
    case 'summarize':
      return toSummaryCall(world, command);
    default:
      return toDeleteCall(world, command);
  }
};

const toBeginCall = async (world: World, command: CommandOf<'begin'>): Promise<Call> => {
  const { harness, tokens, begins } = world;
  const { conversationId } = toKey(world, command.room);
  const begin = await toModelBegin(world, command);
  world.messageIds.push(begin.messageId);
  begins.set(begin.messageId, begin);
  return {
    run: async () => {
      const answer = await harness.store.begin(begin);
      if (answer.type === 'begun') tokens.set(begin.messageId, answer.token);
      return answer;
    },
    apply: (state, before) => {
      const token = tokens.get(begin.messageId) ?? '';
      return beginModel(state, {
        begin: { ...begin, conversationId },
        seen: command.isLate ? undefined : before,
        token,
      });
    },
  };
};

/** A begin as it would follow from what the store says now. */
const toModelBegin = async (world: World, command: CommandOf<'begin'>): Promise<Begin> => {
  const { harness } = world;
  const of = toKey(world, command.room);
  const { conversation, window } = await harness.store.open(of, 'none');
  const question = toBegin(harness, {
    ...of,
    requestId: `request ${command.request}`,
    fingerprint: `body ${command.body}`,
    expectedVersion: command.isLate ? 1_000 : (conversation?.version ?? 0),
    cut: { position: Math.floor(((conversation?.messageCount ?? 0) * command.cut) / 4), droppedTurns: 0 },
  });
  const { userMessage, ...again } = question;
  const ask = { ...again, userMessage: { ...userMessage, content: newName('question') } };
  const target = window.at(command.how === 'go-on' && command.at < 3 ? -1 : -1 - command.at);
  if (!conversation || !target) return ask;
  const { position } = target;
  const messages = (await harness.store.loadMessages(of, { before: position, limit: 1_000 })) ?? [];
  const replaces = (from: number): Replacement => {
    const cut = command.cut === 0 ? { position: 0, droppedTurns: 0 } : conversation.cut;
    const shown = [...(command.cut === 0 ? messages : window), target].filter((message) =>
      isShown(conversation, message),
    );
    const positions = new Set(
      shown.map((message) => message.position).filter((one) => one < from && one > cut.position),
    );
    return { from, cut, window: [...positions] };
  };
  switch (command.how) {
    case 'edit':
      return { ...ask, replaces: replaces(position) };
    case 'variant':
      return { ...again, questionPosition: position, replaces: replaces(position + 1) };
    case 'go-on':
      return target.role === 'assistant' ? { ...again, continues: { messageId: target.id, position } } : ask;
    default:
      return ask;
  }
};

const isShown = ({ replaced }: Conversation, { position }: StoredMessage): boolean =>
  !replaced.some(({ first, last }) => first <= position && position <= last);

const toSummaryCall = async (world: World, command: CommandOf<'summarize'>): Promise<Call> => {
  const of = toKey(world, command.room);
  const replaced = (await world.harness.store.loadConversation(of))?.replaced ?? [];
  const expected = command.isForeign ? [...replaced, { first: 999, last: 999 }] : replaced;
  const { position } = command;
  const text = newName('summary');
  const summary = { position, text, model: 'qwen3:4b', createdAt: 0 };
  return {
    run: () => world.harness.store.keepSummary(of, summary, expected),
    apply: (state) => keepModel(state, { room: of.conversationId, position, text, expected }),
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

/** One of the replies that have begun last, or one that was asked for. */
const toReply = (
  { harness, tokens, begins, messageIds }: World,
  command: { readonly reply: number; readonly isForeign?: boolean },
): RunningReply => {
  const begun = messageIds.filter((messageId) => tokens.has(messageId));
  const messageId = (command.reply === LAST_ASKED ? messageIds.at(-1) : begun.at(-1 - command.reply)) ?? 'nobody';
  const token = command.isForeign ? 'foreign' : (tokens.get(messageId) ?? 'unknown');
  return { begin: begins.get(messageId) ?? toBegin(harness, { messageId }), messageId, token };
};

const toSeq = async ({ harness }: World, messageId: string, shift: number): Promise<number> =>
  ((await harness.store.loadReply(messageId))?.seq ?? 0) + 1 + shift;

/** A close's answer without what the model does not make. */
const toText = (answer: SealAnswer): unknown =>
  answer.type === 'ok' && answer.entry.event.type === 'end' ? { type: 'ok', text: answer.entry.event.text } : answer;
