import { hash } from 'node:crypto';
import type { ConversationKey } from '../chat-store.ts';

// A key's hash tag (what stands in braces) decides its slot in a Cluster. No text of a client ever stands in it, nor
// anywhere else in a key: names are digests.
const SHARDS = 64;
const DIGEST_LENGTH = 22; // of base64url: 132 bits
const MESSAGE_ID = /^(s\d\d)_([\w-]{22})_([\w-]+)$/;

/** Says how the keys are laid out. It never expires, and neither do the indexes of leases. */
export const SCHEMA_KEY = 'chat:schema';

export const NUDGE_PREFIX = 'chat:nudge:';

/** Where a conversation lies. */
export interface ConversationPlace {
  /** The hash tag of all its keys, `s00` to `s63`. */
  readonly shard: string;
  /** A digest of owner and conversation. */
  readonly name: string;
}

/** Where a reply lies: its `message_id` alone says it. */
export interface ReplyPlace extends ConversationPlace {
  readonly messageId: string;
  /** What tells it apart in its conversation. */
  readonly replyId: string;
}

export const toConversationPlace = ({ owner, conversationId }: ConversationKey): ConversationPlace =>
  toNamedPlace(toDigest([owner, conversationId]));

/** The place of a conversation by its name: what a list of conversations holds. */
export const toNamedPlace = (name: string): ConversationPlace => ({ shard: toShard(name), name });

/** A message id begins with its shard, so that it alone finds the reply. */
export const toMessageIdPrefix = ({ shard, name }: ConversationPlace): string => `${shard}_${name}_`;

/** Undefined for what is no message id of this store. */
export const toReplyPlace = (messageId: string): ReplyPlace | undefined => {
  const [, shard, name, replyId] = MESSAGE_ID.exec(messageId) ?? [];
  if (shard === undefined || name === undefined || replyId === undefined || shard !== toShard(name)) return undefined;
  return { shard, name, messageId, replyId };
};

/** The names of a conversation's keys. */
export interface ConversationKeys {
  readonly conversation: string;
  readonly messages: string;
  /** The sendable messages after the cut. */
  readonly window: string;
  /** The replies that have ended. */
  readonly replies: string;
  /** The reply that runs. */
  readonly running: string;
  readonly requests: string;
  /** When request ids and logs expire. */
  readonly ages: string;
  /** The shard's. */
  readonly leases: string;
  /** How the names of the conversation's logs begin. */
  readonly logs: string;
}

export const toConversationKeys = ({ shard, name }: ConversationPlace): ConversationKeys => {
  const conversation = `chat:{${shard}}:${name}`;
  return {
    conversation,
    messages: `${conversation}:messages`,
    window: `${conversation}:window`,
    replies: `${conversation}:replies`,
    running: `${conversation}:running`,
    requests: `${conversation}:requests`,
    ages: `${conversation}:ages`,
    leases: toLeasesKey(shard),
    logs: `${conversation}:log:`,
  };
};

/** A reply's log. */
export const toLogKey = (place: ReplyPlace): string => toConversationKeys(place).logs + place.replyId;

/** Running replies of a shard by the ends of their leases. */
const toLeasesKey = (shard: string): string => `chat:{${shard}}:leases`;

export const LEASES_KEYS: readonly string[] = Array.from({ length: SHARDS }, (_, index) =>
  toLeasesKey(toShardName(index)),
);

/** What belongs to a caller lies in a slot of the caller's own. */
export const toCallerKeys = (owner: string): Record<'conversations' | 'charges' | 'running', string> => {
  const caller = `chat:{${toDigest([owner])}}`;
  return { conversations: `${caller}:conversations`, charges: `${caller}:charges`, running: `${caller}:running` };
};

/** A short name for texts of any length. JSON keeps halves of surrogate pairs apart. */
export const toDigest = (texts: readonly string[]): string =>
  hash('sha256', JSON.stringify(texts), 'base64url').slice(0, DIGEST_LENGTH);

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** A digest's first digit has as many values as there are shards. */
const toShard = (name: string): string => toShardName(BASE64URL.indexOf(name.charAt(0)));

function toShardName(index: number): string {
  return `s${String(index).padStart(2, '0')}`;
}

/** The hash tag of a key. */
export const toTag = (key: string): string => key.slice(key.indexOf('{') + 1, key.indexOf('}'));
