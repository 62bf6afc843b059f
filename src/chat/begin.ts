import type { Clock, Ids } from '../clock.ts';
import type { UserMessage } from '../conversation/message.ts';
import type { Begin, Conversation, ReplyRecord } from '../stores/chat-store.ts';
import { NO_CUT, type Asked } from './asked.ts';
import { toFingerprint, type CheckedRequest } from './chat-request.ts';
import type { ChosenModel } from './model-directory.ts';
import type { Prompt } from './prompt.ts';

/** A request that has an id: its own, or one of ours. */
export type NamedRequest = CheckedRequest & { readonly requestId: string };

export interface BeginInput {
  readonly request: NamedRequest;
  /** Of the reply. */
  readonly messageId: string;
  readonly conversation: Conversation | undefined;
  readonly asked: Asked;
  readonly model: ChosenModel;
  readonly prompt: Prompt;
  readonly clock: Clock;
  readonly ids: Ids;
  /** Who writes the reply. */
  readonly instance: string;
}

/** What the store is asked to begin. */
export const toBegin = (input: BeginInput): Begin => {
  const { request, messageId, conversation, asked, model, prompt, clock, instance } = input;
  const { owner, conversationId, requestId, systemPrompt } = request;
  // A message that grows keeps what the caller has put beside it.
  const metadata = request.metadata ?? (asked.place.type === 'grown' ? asked.place.metadata : undefined);
  const createdAt = clock.now();
  return {
    owner,
    conversationId,
    requestId,
    fingerprint: toFingerprint(request),
    messageId,
    ...toPlaced(input, createdAt),
    model: model.name,
    promptTokens: prompt.estimatedTokens,
    createdAt,
    ...(metadata !== undefined && { metadata }),
    expectedVersion: conversation?.version ?? 0,
    ...(systemPrompt !== undefined && { systemPrompt }),
    instance,
  };
};

type Placed = Pick<Begin, 'userMessage' | 'questionPosition' | 'continues' | 'variantOf' | 'replaces' | 'cut'>;

/** Where question and answer get to. What is replaced stays in force until there is an answer, and its cut with it. */
const toPlaced = (input: BeginInput, createdAt: number): Placed => {
  const { place } = input.asked;
  const { cut } = input.prompt;
  const window = input.prompt.history.map(({ position }) => position);
  const cutUntilThen = input.conversation?.cut ?? NO_CUT;
  switch (place.type) {
    case 'at-the-end':
      return { userMessage: toUserMessage(input, createdAt), cut };
    case 'grown': {
      const { messageId, position, questionPosition, variantOf } = place;
      return { continues: { messageId, position }, questionPosition, ...(variantOf && { variantOf }), cut };
    }
    case 'answered-anew': {
      const { questionPosition, variantOf } = place;
      const replaces = { from: questionPosition + 1, window: [...window, questionPosition], cut };
      return { questionPosition, variantOf, replaces, cut: cutUntilThen };
    }
    case 'edited': {
      const { from, editOf, variantOf } = place;
      const userMessage = { ...toUserMessage(input, createdAt), editOf };
      const replaces = { from, window, cut };
      return { userMessage, ...(variantOf && { variantOf }), replaces, cut: cutUntilThen };
    }
  }
};

const toUserMessage = (
  { request: { metadata }, asked: { question }, ids }: BeginInput,
  createdAt: number,
): UserMessage => ({
  role: 'user',
  id: `msg_${ids.newId()}`,
  content: question.content,
  createdAt,
  ...(question.images.length > 0 && { images: question.images }),
  ...(metadata !== undefined && { metadata }),
});

/** The reply that begins so. */
export const toRecord = (begin: Begin): ReplyRecord => {
  const { owner, conversationId, messageId, requestId, model, createdAt, instance, promptTokens } = begin;
  const { metadata, continues, variantOf } = begin;
  return {
    owner,
    conversationId,
    messageId,
    requestId,
    state: 'running',
    model,
    seq: 0,
    createdAt,
    instance,
    promptTokens,
    ...(metadata !== undefined && { metadata }),
    ...(continues !== undefined && { continues: continues.messageId }),
    ...(variantOf !== undefined && { variantOf }),
  };
};
