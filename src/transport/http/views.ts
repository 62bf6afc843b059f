import { toTimestamp } from '../../clock.ts';
import type { ListedMessage } from '../../chat/conversations.ts';
import { toReplyResult, type ConversationView, type ReplyView } from '../../chat/results.ts';
import type * as Wire from '../../protocol/rest.ts';
import type { Conversation, Message, Reply } from '../../protocol/rest.ts';
import type { ConversationPatch } from '../../stores/chat-store.ts';
import { toContinues, toErrorData, toTimings, toUsage } from '../reply-frames.ts';

/** From what the service answers to the bodies of the HTTP wire. */

export const toConversation = (view: ConversationView): Conversation => ({
  success: true,
  conversation_id: view.conversationId,
  ...(view.title !== undefined && { title: view.title }),
  system_prompt: view.systemPrompt ?? null,
  ...(view.metadata && { metadata: { ...view.metadata } }),
  ...(view.model !== undefined && { model: view.model }),
  created_at: view.createdAt,
  updated_at: view.updatedAt,
  message_count: view.messageCount,
  active_reply: view.activeReply ?? null,
  summary: toSummary(view.summary),
});

const toSummary = (summary: ConversationView['summary']): Conversation['summary'] => {
  if (!summary) return null;
  const { text, position, model, createdAt } = summary;
  return { text, position, model, created_at: createdAt };
};

/** What is to change, in the service's words. */
export const fromPatch = ({ title, system_prompt, metadata }: Wire.ConversationPatch): ConversationPatch => ({
  ...(title !== undefined && { title }),
  ...(system_prompt !== undefined && { systemPrompt: system_prompt }),
  ...(metadata !== undefined && { metadata }),
});

export const toMessage = (message: ListedMessage): Message => {
  const common = {
    message_id: message.id,
    role: message.role,
    content: message.content,
    created_at: toTimestamp(message.createdAt),
    position: message.position,
    active: message.active,
    ...(message.metadata && { metadata: { ...message.metadata } }),
  };
  if (message.role === 'user') {
    const { images, editOf } = message;
    return { ...common, ...(editOf !== undefined && { edit_of: editOf }), ...(images && { images: [...images] }) };
  }
  const { outcome, thinking, requestId, model, variantOf } = message;
  return {
    ...common,
    ...(variantOf !== undefined && { variant_of: variantOf }),
    ...(thinking !== undefined && { thinking }),
    request_id: requestId,
    model,
    state: outcome.state,
    ...(outcome.finishReason && { finish_reason: outcome.finishReason }),
    ...(outcome.failure && { error: { code: outcome.failure.code, error: outcome.failure.message } }),
    usage: toUsage(outcome.usage),
    timings: toTimings(outcome.timings),
  };
};

export const toReply = ({ record, texts }: ReplyView): Reply => {
  const { end, seq, content, thinking } = texts;
  const result = end && toReplyResult(record, seq, end);
  return {
    success: true,
    message_id: record.messageId,
    conversation_id: record.conversationId,
    request_id: record.requestId,
    ...toContinues(record),
    state: end?.state ?? 'running',
    model: record.model,
    seq,
    response: content,
    ...(thinking && { thinking }),
    ...(end?.finishReason && { finish_reason: end.finishReason }),
    ...(result && !result.success && { error: toErrorData(result) }),
    ...(end && { usage: toUsage(end.usage), timings: toTimings(end.timings), ended_at: toTimestamp(end.endedAt) }),
    created_at: toTimestamp(record.createdAt),
    ...(record.metadata && { metadata: { ...record.metadata } }),
  };
};
