import type { Ids } from '../../clock.ts';
import { LEASE_MS, type Retention } from '../chat-store.ts';
import type { ConversationPlace } from './keys.ts';
import { toConversationKeys } from './keys.ts';
import type { RedisConnection } from './redis-connection.ts';

/** What an operation works with. */
export interface RedisParts {
  readonly connection: RedisConnection;
  readonly ids: Ids;
  readonly retention: Retention;
}

/** The keys of one conversation's scripts, in their order (`scripts/conversation.lua`), and a log or how logs begin. */
export const toScriptKeys = (place: ConversationPlace, log?: string): readonly string[] => {
  const keys = toConversationKeys(place);
  const { conversation, messages, window, replies, running, requests, ages, leases, logs } = keys;
  return [conversation, messages, window, replies, running, requests, ages, leases, log ?? logs];
};

/** What each of those scripts is told first. In a Cluster the owner's list is none of their business. */
export const toHeader = (
  { connection, retention }: RedisParts,
  { name }: ConversationPlace,
): readonly (string | number)[] => [retention.conversationMs, connection.isCluster ? '' : name];

/** A writer may not be taken for dead because Redis, or our way to it, was away (INV-08). */
export const isTooYoung = ({ connection }: RedisParts): boolean => connection.ageMs < LEASE_MS;
