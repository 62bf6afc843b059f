import { InvalidRequestError, NotFoundError } from '../errors.ts';
import type { UserMessage } from '../conversation/message.ts';
import type { ChatStore, Opened } from '../stores/chat-store.ts';
import { NO_CUT, type Asked, type Place, type Question } from './asked.ts';
import type { ChatRequest } from './chat-request.ts';
import {
  findAnswer,
  findMessage,
  findQuestion,
  findQuestionOf,
  loadHistory,
  MAX_LOOK_BACK,
  type Answer,
  type Thread,
} from './thread.ts';

export interface AskInput {
  readonly store: ChatStore;
  readonly request: ChatRequest;
  readonly opened: Opened;
  /** Turns in the prompt, the question's own included. */
  readonly maxTurns: number;
}

/**
 * What a request asks, and what comes before it.
 * @throws NotFoundError, InvalidRequestError when it is about a message that is not there, or not fit for it
 */
export const toAsked = async (input: AskInput): Promise<Asked> => {
  const { continue: continued, regenerate, edit } = input.request;
  if (continued !== undefined) return toContinued(input, continued);
  if (regenerate !== undefined) return toRegenerated(input, regenerate);
  if (edit !== undefined) return toEdited(input, edit);
  const { request, opened } = input;
  return {
    history: opened.window,
    cut: opened.conversation?.cut ?? NO_CUT,
    question: request,
    place: { type: 'at-the-end' },
  };
};

/** Whether a request is about the reply `messageId`, by its id. */
export const isAboutReply = (request: ChatRequest, messageId: string): boolean =>
  request.continue === messageId || request.regenerate === messageId;

const toContinued = async (input: AskInput, messageId: string): Promise<Asked> => {
  const { thread, ids } = await findReply(input, 'continue', messageId);
  const last = thread.window.at(-1);
  if (last?.role !== 'assistant' || !ids.has(last.id) || !(await staysLast(thread, last))) {
    throw await toNotLast(thread, ids);
  }
  checkContinuable(last);
  const found = await findQuestionOf(thread, last);
  if (!found) throw noReply('continue');
  const { question } = found;
  return {
    ...(await loadHistory(thread, question.position, input.maxTurns - 1)),
    question: toQuestion(question),
    prefill: last.content,
    ...(last.thinking !== undefined && { thinking: last.thinking }),
    place: {
      type: 'grown',
      messageId: last.id,
      position: last.position,
      questionPosition: question.position,
      requestId: last.requestId,
      endedAt: last.createdAt,
      model: last.model,
      ...(last.metadata !== undefined && { metadata: last.metadata }),
      ...(last.variantOf !== undefined && { variantOf: last.variantOf }),
    },
  };
};

const toRegenerated = async (input: AskInput, messageId: string): Promise<Asked> => {
  const { thread, ids } = await findReply(input, 'regenerate', messageId);
  const answer = await findAnswer(thread, ids);
  const found = answer && (await findQuestionOf(thread, answer));
  if (!found) throw noReply('regenerate');
  const { question, isSent } = found;
  // An edit that was never answered has replaced nothing yet: it is made again, and its answer with it.
  const original = isSent || question.editOf === undefined ? undefined : await findQuestion(thread, question.editOf);
  const place: Place = original
    ? { type: 'edited', from: original.position, editOf: original.id, variantOf: answer.id }
    : { type: 'answered-anew', questionPosition: question.position, variantOf: answer.id };
  const { position } = original ?? question;
  return { ...(await loadHistory(thread, position, input.maxTurns - 1)), question: toQuestion(question), place };
};

const toEdited = async (input: AskInput, messageId: string): Promise<Asked> => {
  const thread = toThread(input);
  const original = thread && (await findQuestion(thread, messageId));
  if (!original) throw noQuestion();
  const { id: editOf, position: from } = original;
  const place = { type: 'edited', from, editOf } as const;
  return { ...(await loadHistory(thread, from, input.maxTurns - 1)), question: input.request, place };
};

/** A reply that runs will be behind it, unless it goes on with the same. */
const staysLast = async ({ store, conversation: { activeReply } }: Thread, last: Answer): Promise<boolean> =>
  activeReply === undefined || (await store.loadReply(activeReply))?.continues === last.id;

/** Undefined where there is no conversation. */
const toThread = ({ store, opened: { conversation, window } }: AskInput): Thread | undefined =>
  conversation && {
    store,
    conversation,
    window: window.at(-1)?.role === 'user' ? window.slice(0, -1) : window, // a running reply is about to answer it
  };

/** The reply that is meant must be one of this conversation: gives the ids under which its message may stand. */
const findReply = async (
  input: AskInput,
  field: 'continue' | 'regenerate',
  messageId: string,
): Promise<{ readonly thread: Thread; readonly ids: ReadonlySet<string> }> => {
  const thread = toThread(input);
  const reply = thread && (await input.store.loadReply(messageId));
  const { owner, conversationId } = input.request;
  if (!thread || reply?.owner !== owner || reply.conversationId !== conversationId) throw noReply(field);
  return { thread, ids: new Set([messageId, reply.continues ?? messageId]) };
};

const toQuestion = ({ content, images = [] }: UserMessage): Question => ({ content, images });

const checkContinuable = ({ outcome }: Answer): void => {
  if (outcome.finishReason === 'stop')
    throw new InvalidRequestError(
      'continue: the reply has come to its end by itself (finish_reason stop). Ask a new question, or ask with regenerate.',
    );
  if (outcome.finishReason === 'repetition')
    throw new InvalidRequestError(
      'continue: the reply has gone round in circles (finish_reason repetition). Ask with regenerate.',
    );
};

/** Why a reply that is not the end of the thread cannot be gone on with. */
const toNotLast = async (thread: Thread, ids: ReadonlySet<string>): Promise<NotFoundError | InvalidRequestError> => {
  const found = await findMessage(thread, ({ id }) => ids.has(id));
  if (!found) return noReply('continue');
  return new InvalidRequestError(
    found.isSent
      ? 'continue: only the last reply of the conversation can be gone on with. Ask with regenerate.'
      : 'continue: the reply has no text to go on with. Ask with regenerate.',
  );
};

const noReply = (field: 'continue' | 'regenerate'): NotFoundError =>
  new NotFoundError(
    `${field}: the conversation has no such reply, or it was replaced. Give the message_id of an active reply of it.`,
  );

const noQuestion = (): NotFoundError =>
  new NotFoundError(
    'edit: the conversation has no such message of a user, or it was replaced. Give the message_id of an active one ' +
      `(GET /conversations/{id}/messages), not more than ${MAX_LOOK_BACK} messages back.`,
  );
