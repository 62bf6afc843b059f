import type { AssistantMessage, UserMessage } from '../../../src/conversation/message.ts';
import type { Channel, LogEntry, ReplyEvent, ReplyOutcome, TextDelta } from '../../../src/conversation/reply-event.ts';
import { toReplyEnd } from '../../../src/conversation/transcript.ts';
import type {
  Append,
  Begin,
  ChatStore,
  Closing,
  ConversationKey,
  Finish,
  Lease,
  Retention,
} from '../../../src/stores/chat-store.ts';

/** A store with what a test needs around it: its name, its time, and an end to its process. */
export interface StoreHarness extends AsyncDisposable {
  /** Empty at first. */
  readonly store: ChatStore;
  /** The name of the instance that has the store. */
  readonly instance: string;
  readonly retention: Retention;
  /** The store's time, in milliseconds since 1970, UTC. */
  now(): number;
  /** Moves the store's time on; what falls due meanwhile is done when it resolves. */
  advance(ms: number): Promise<void>;
  /**
   * Ends the store's process and resolves with a store that another instance has opened over the same data, when
   * all replies that were running count as abandoned. It ends with the harness.
   */
  replaceInstance(): Promise<ChatStore>;
}

/** What it takes to begin replies. */
export type StoreUnderTest = Pick<StoreHarness, 'store' | 'instance' | 'now'>;

export type OpenHarness = () => Promise<StoreHarness>;

export const key: ConversationKey = { owner: 'ada', conversationId: 'kitchen' };

let count = 0;

/** No two tests share an id. */
export const newName = (kind: string): string => `${kind}-${++count}`;

const USAGE = { promptTokens: 10, completionTokens: 5, source: 'measured' } as const;
const TIMINGS = { queuedMs: 1, loadMs: 0, firstTokenMs: 30, totalMs: 90 };

export const done: ReplyOutcome = { state: 'done', finishReason: 'stop', usage: USAGE, timings: TIMINGS };
export const cancelled: ReplyOutcome = { ...done, state: 'cancelled', finishReason: 'cancelled' };
export const failed: ReplyOutcome = {
  state: 'failed',
  failure: { code: 'interrupted', message: 'The service stopped. Ask again.' },
  usage: { ...USAGE, source: 'estimated' },
  timings: TIMINGS,
};

/** An id for a reply of this conversation. */
export const newMessageId = ({ store }: StoreUnderTest, of = key): string => store.toMessageId(of, newName('reply'));

/** What begins with a question. */
export interface Question extends Begin {
  readonly userMessage: UserMessage;
}

/** What answers again, or goes on. */
export type Again = Omit<Begin, 'userMessage'>;

/** A request to begin the first reply of `key`, with ids of its own. */
export const toBegin = (harness: StoreUnderTest, changes: Partial<Question> = {}): Question => ({
  ...key,
  requestId: newName('request'),
  fingerprint: 'body',
  messageId: newMessageId(harness, { ...key, ...changes }),
  userMessage: { role: 'user', id: newName('user'), content: 'Is it done?', createdAt: harness.now() },
  model: 'qwen3:4b',
  promptTokens: 10,
  createdAt: harness.now(),
  expectedVersion: 0,
  cut: { position: 0, droppedTurns: 0 },
  instance: harness.instance,
  ...changes,
});

/** A reply that this test may write. */
export interface RunningReply extends Lease {
  readonly begin: Begin;
}

/** Begins a reply to a new question, at whatever version the conversation has. */
export const beginReply = async (harness: StoreUnderTest, changes: Partial<Question> = {}): Promise<RunningReply> =>
  beginNow(harness, toBegin(harness, changes), changes);

/** Begins a reply that asks nothing new. */
export const beginAgain = async (harness: StoreUnderTest, changes: Partial<Again>): Promise<RunningReply> =>
  beginNow(harness, toAgain(harness, changes), changes);

/** A request without a question of its own. */
export const toAgain = (harness: StoreUnderTest, changes: Partial<Again>): Again => {
  const { userMessage: _userMessage, ...again } = toBegin(harness, changes);
  return again;
};

const beginNow = async (
  harness: StoreUnderTest,
  request: Begin,
  changes: Pick<Partial<Begin>, 'expectedVersion'>,
): Promise<RunningReply> => {
  const { conversation } = await harness.store.open(request, request.requestId);
  const begin = { ...request, expectedVersion: conversation?.version ?? 0, ...changes };
  const answer = await harness.store.begin(begin);
  if (answer.type !== 'begun') throw new Error(`The reply has not begun: ${answer.type}`);
  return { begin, messageId: begin.messageId, token: answer.token };
};

export const toDelta = (text: string, at = 0, channel: Channel = 'content'): TextDelta => ({
  type: 'text-delta',
  channel,
  at,
  text,
});

/** One delta per text, from `seq` on. */
export const toAppend = (lease: Lease, seq: number, ...texts: readonly string[]): Append => {
  const offsets = texts.map((_, index) => texts.slice(0, index).join('').length);
  const events: ReplyEvent[] = texts.map((text, index) => toDelta(text, offsets[index]));
  return { messageId: lease.messageId, token: lease.token, seq, events };
};

export interface Ending {
  readonly seq: number;
  readonly content: string;
  readonly outcome?: ReplyOutcome;
  /** Events before the terminal one. */
  readonly pending?: readonly ReplyEvent[];
}

export const toFinish = (reply: RunningReply, { seq, content, outcome = done, pending = [] }: Ending): Finish => {
  const endedAt = reply.begin.createdAt + 90;
  const events = [...pending, toReplyEnd(content, outcome, endedAt)];
  return {
    messageId: reply.messageId,
    token: reply.token,
    seq,
    events,
    message: toMessage(reply.begin, { content, outcome, seq: seq + pending.length, endedAt }),
  };
};

/** The message of a reply, as its writer or the store makes it. */
export const toMessage = (
  { messageId, requestId, model, continues, variantOf, metadata }: Begin,
  end: { readonly content: string; readonly outcome: ReplyOutcome; readonly seq: number; readonly endedAt: number },
): AssistantMessage => ({
  role: 'assistant',
  id: continues?.messageId ?? messageId,
  content: end.content,
  createdAt: end.endedAt,
  requestId,
  model,
  seq: end.seq,
  outcome: end.outcome,
  ...(variantOf !== undefined && { variantOf }),
  ...(metadata && { metadata }),
});

export const toClosing = (lease: { readonly messageId: string }, outcome = cancelled, endedAt = 5_000): Closing => ({
  messageId: lease.messageId,
  outcome,
  endedAt,
});

/** A whole turn: begun, and ended with `content`. */
export const addTurn = async (
  harness: StoreUnderTest,
  content: string,
  { outcome = done, ...changes }: Partial<Question> & { readonly outcome?: ReplyOutcome } = {},
): Promise<RunningReply> => {
  const reply = await beginReply(harness, changes);
  const answer = await harness.store.finish(toFinish(reply, { seq: 1, content, outcome }));
  if (answer.type !== 'ok') throw new Error(`The reply has not ended: ${answer.type}`);
  return reply;
};

/** The whole log of a reply. */
export const readAll = (store: ChatStore, lease: { readonly messageId: string }): Promise<readonly LogEntry[]> =>
  store.readLog(lease.messageId, 0, 100_000);

/** What a conversation's window says, oldest first. */
export const readWindow = async (store: ChatStore, of = key): Promise<readonly string[]> => {
  const { window } = await store.open(of, 'none');
  return window.map((message) => message.content);
};
