import { NotFoundError } from '../errors.ts';
import type { ChatStore, ReplyRecord } from '../stores/chat-store.ts';
import type { ReplyReference } from './results.ts';

/**
 * A reply's record.
 * @throws NotFoundError, the same for what is absent and what is somebody else's
 */
export const loadReply = async (store: ChatStore, reference: ReplyReference, owner: string): Promise<ReplyRecord> => {
  const messageId = await toMessageId(store, reference, owner);
  const reply = messageId === undefined ? undefined : await store.loadReply(messageId);
  if (!reply || reply.owner !== owner) throw noReply();
  return reply;
};

const toMessageId = async (store: ChatStore, reference: ReplyReference, owner: string): Promise<string | undefined> => {
  if ('messageId' in reference) return reference.messageId;
  const { conversationId, requestId } = reference;
  return (await store.open({ owner, conversationId }, requestId)).request?.messageId;
};

export const noReply = (): NotFoundError => new NotFoundError('There is no such reply.');
