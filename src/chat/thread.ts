import { isSendable, type AssistantMessage, type StoredMessage, type UserMessage } from '../conversation/message.ts';
import type { ChatStore, Conversation, Cut, PositionRange } from '../stores/chat-store.ts';
import { NO_CUT, type Asked } from './asked.ts';

/** A conversation without what was replaced in it. */
export interface Thread {
  readonly store: ChatStore;
  readonly conversation: Conversation;
  /** The messages after the cut that are sent, oldest first, each question with its answer. */
  readonly window: readonly StoredMessage[];
}

/** A message of the thread, and whether models are sent it. */
interface Seen {
  readonly message: StoredMessage;
  /** False for a reply that failed without text, and for a question that nothing with text in it answers. */
  readonly isSent: boolean;
}

export type Answer = AssistantMessage & { readonly position: number };
export type Asking = UserMessage & { readonly position: number };

const PAGE = 100;
/** No request reads more pages: a conversation may have grown for years. */
const MAX_PAGES = 100;
/** So many messages back an earlier one is looked for. */
export const MAX_LOOK_BACK = PAGE * MAX_PAGES;

/** The newest message of the thread that is wanted, below `before`: mostly it is in the window, and nothing is read. */
export const findMessage = async (
  thread: Thread,
  isWanted: (message: StoredMessage) => boolean,
  before?: number,
): Promise<Seen | undefined> => {
  const known = thread.window.find((message) => isWanted(message));
  if (known) return { message: known, isSent: true };
  for await (const seen of lookBack(thread, before)) if (isWanted(seen.message)) return seen;
  return undefined;
};

/** The answer that counts: where another one has failed without text, it is the one that is still there. */
export const findAnswer = async (
  thread: Thread,
  ids: ReadonlySet<string>,
  before?: number,
): Promise<Answer | undefined> => {
  const found = await findMessage(thread, ({ id }) => ids.has(id), before);
  if (found?.message.role !== 'assistant') return undefined;
  const { message, isSent } = found;
  if (isSent || message.variantOf === undefined) return message;
  return findAnswer(thread, new Set([message.variantOf]), message.position);
};

/** The question that counts: where an edit of it was never answered, it is the one that is still there. */
export const findQuestion = async (thread: Thread, id: string, before?: number): Promise<Asking | undefined> => {
  const found = await findMessage(thread, (message) => message.id === id, before);
  if (found?.message.role !== 'user') return undefined;
  const { message, isSent } = found;
  return isSent || message.editOf === undefined ? message : findQuestion(thread, message.editOf, message.position);
};

/** The question of an answer. It stands right before it, or before what the answer has taken the place of. */
export const findQuestionOf = async (
  thread: Thread,
  { position }: Answer,
): Promise<{ readonly question: Asking; readonly isSent: boolean } | undefined> => {
  const replaced = findRange(thread.conversation.replaced, position - 1);
  const wanted = (replaced?.first ?? position) - 1;
  const found = await findMessage(thread, (message) => message.position === wanted, position + 1);
  return found?.message.role === 'user' ? { question: found.message, isSent: found.isSent } : undefined;
};

/**
 * What comes before the message at `position`, `maxTurns` turns at most: of the window as it is cut, so that the prompt
 * begins as the last one did; where that leaves less than a new cut would, earlier messages are loaded.
 */
export const loadHistory = async (
  thread: Thread,
  position: number,
  maxTurns: number,
): Promise<Pick<Asked, 'history' | 'cut'>> => {
  const { cut } = thread.conversation;
  const history = thread.window.filter((message) => message.position < position);
  let [turns, olderTurns] = [history.filter(({ role }) => role === 'user').length, cut.droppedTurns];
  if (position > cut.position && (olderTurns === 0 || turns >= Math.floor(maxTurns / 2))) return { history, cut };
  for await (const { message, isSent } of lookBack(thread, cut.position + 1)) {
    const isBefore = message.position < position;
    if (isBefore && turns === maxTurns) break;
    if (!isSent) continue;
    if (isBefore) history.unshift(message);
    if (message.role === 'assistant') continue;
    olderTurns -= 1;
    if (isBefore) turns += 1;
  }
  return { history, cut: toEarlierCut(history[0]?.position ?? position, olderTurns) };
};

/** What is sent of the messages between `after` and `before`, both left out: the newest `limit`, oldest first. */
export const loadSent = async (
  thread: Thread,
  { after, before, limit }: { readonly after: number; readonly before: number; readonly limit: number },
): Promise<readonly StoredMessage[]> => {
  const found: StoredMessage[] = [];
  for await (const { message, isSent } of lookBack(thread, before)) {
    if (message.position <= after || found.length === limit) break;
    if (isSent) found.unshift(message);
  }
  return found;
};

const toEarlierCut = (first: number, droppedTurns: number): Cut =>
  droppedTurns > 0 ? { position: first - 1, droppedTurns } : NO_CUT;

/**
 * The thread's messages below `before`, newest first. It reads only as far as it is iterated, and `before` does not
 * part an answer that is sent from its question.
 */
async function* lookBack(
  { store, conversation }: Thread,
  before = conversation.messageCount + 1,
): AsyncGenerator<Seen, void> {
  const { replaced } = conversation;
  let [end, isAnswered] = [before, false];
  for (let pages = 0; pages < MAX_PAGES && end > 1; pages++) {
    const page = (await store.loadMessages(conversation, { before: end, limit: PAGE })) ?? [];
    for (const message of page.toReversed()) {
      if (findRange(replaced, message.position)) continue;
      const isSent = message.role === 'user' ? isAnswered : isSendable(message.content, message.outcome);
      isAnswered = message.role === 'assistant' && (isAnswered || isSent);
      yield { message, isSent };
    }
    const first = page[0]?.position ?? 1;
    end = findRange(replaced, first - 1)?.first ?? first; // nothing of what was replaced is read for its own sake
  }
}

/** The range that `position` lies in. */
export const findRange = (ranges: readonly PositionRange[], position: number): PositionRange | undefined =>
  ranges.find(({ first, last }) => first <= position && position <= last);
