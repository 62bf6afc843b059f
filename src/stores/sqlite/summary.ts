import { isDeepStrictEqual } from 'node:util';
import type { ConversationKey, PositionRange, Summary } from '../chat-store.ts';
import type { StoreParts } from './tables.ts';
import { toReplaced } from './thread-table.ts';

export interface NewSummary {
  readonly summary: Summary;
  readonly expectedReplaced: readonly PositionRange[];
}

/** `ChatStore.keepSummary`, inside a transaction. */
export const keepSummary = (
  { tables, clock }: StoreParts,
  key: ConversationKey,
  { summary, expectedReplaced }: NewSummary,
): { readonly type: 'kept' | 'stale' | 'gone' } => {
  const row = tables.conversations.find(key, clock.now());
  if (!row) return { type: 'gone' };
  // With fewer messages than it sums up, the conversation is another one, which took the id of a deleted one.
  const isOther = row.messageCount < summary.position;
  if (isOther || !isDeepStrictEqual(toReplaced(row), expectedReplaced)) return { type: 'stale' };
  tables.threads.keepSummary(row.id, summary, row);
  return { type: 'kept' };
};
