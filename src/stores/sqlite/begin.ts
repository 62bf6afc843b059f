import type { Begin, BeginAnswer, KnownRequest, Token } from '../chat-store.ts';
import { LEASE_MS } from '../chat-store.ts';
import { toFirstVersion } from '../versions.ts';
import { type ConversationRow, toActiveReply } from './conversation-table.ts';
import type { ReplyBody, ReplyRow } from './reply-table.ts';
import type { StoreParts, Tables } from './tables.ts';

/** `ChatStore.begin`, inside a transaction. */
export const beginReply = (parts: StoreParts, begin: Begin): BeginAnswer => {
  const { conversations } = parts.tables;
  const now = parts.clock.now();
  const conversation = conversations.find(begin, now);
  const refusal = toRefusal(parts, begin, conversation);
  if (refusal) return refusal;
  const { owner, conversationId } = begin;
  const token = `1.${parts.ids.newId()}`;
  const row = conversation ?? conversations.create({ owner, conversationId }, toFirstVersion(parts.ids), now);
  insertTurn(parts, begin, row, token);
  return { type: 'begun', token };
};

/**
 * The order matters: a repeat finds its reply whatever has happened since, and what is busy is worth waiting for,
 * where what is stale is opened again at once.
 */
const toRefusal = (
  { tables, clock }: StoreParts,
  begin: Begin,
  conversation: ConversationRow | undefined,
): BeginAnswer | undefined => {
  const known = conversation && tables.requests.find(conversation.id, begin.requestId, clock.now());
  if (known) return toKnown(tables.replies.find(known.messageId), begin, known);
  const active = conversation && toActiveReply(conversation);
  if (active !== undefined) return { type: 'busy', messageId: active };
  if ((conversation?.version ?? 0) !== begin.expectedVersion) return { type: 'stale' };
  return isOutOfPlace(tables, begin, conversation) ? { type: 'stale' } : undefined;
};

/** Only what the model would read last can grow: it goes on from there. */
const isOutOfPlace = (
  { messages }: Tables,
  { continues }: Begin,
  conversation: ConversationRow | undefined,
): boolean => {
  if (!continues) return false;
  return !conversation || messages.findLastInWindow(conversation.id, conversation.cutPosition) !== continues.position;
};

/** The same call again has lost its answer: while nobody else writes the reply, it is given the token once more. */
const toKnown = (reply: ReplyRow | undefined, begin: Begin, { messageId, fingerprint }: KnownRequest): BeginAnswer => {
  if (fingerprint !== begin.fingerprint) return { type: 'conflict', messageId };
  const isSameCall = messageId === begin.messageId && reply?.instance === begin.instance && reply.state === 'running';
  return isSameCall ? { type: 'begun', token: reply.token } : { type: 'exists', messageId };
};

const insertTurn = ({ tables, clock }: StoreParts, begin: Begin, conversation: ConversationRow, token: Token): void => {
  const { messageId, requestId, fingerprint, instance, userMessage, replaces, cut, systemPrompt } = begin;
  const now = clock.now();
  const row = { conversation: conversation.id, now };
  const next = conversation.messageCount + 1;
  // What takes the place of others is in the window with its answer, and not before.
  const sendable = !replaces;
  if (userMessage) tables.messages.insert({ ...row, position: next, sendable, message: userMessage });
  tables.replies.insert({
    ...row,
    messageId,
    token,
    instance,
    leaseUntil: clock.elapsed() + LEASE_MS,
    questionPosition: userMessage ? next : 0,
    body: toBody(begin),
  });
  tables.requests.insert({ ...row, requestId, messageId, fingerprint });
  const asks = userMessage !== undefined;
  const forward = replaces ? undefined : cut;
  tables.conversations.beginTurn({ conversation, activeReply: messageId, asks, cut: forward, systemPrompt, now });
};

const toBody = (begin: Begin): ReplyBody => {
  const { requestId, model, promptTokens, metadata, replaces, continues, variantOf } = begin;
  return {
    requestId,
    model,
    promptTokens,
    ...(metadata && { metadata }),
    ...(replaces && { replaces }),
    ...(continues && { continues }),
    ...(variantOf !== undefined && { variantOf }),
  };
};
