import type { ReplyOutcome } from './reply-event.ts';

/** A caller's own data, kept with a message and given back with its reply. */
export type Metadata = Readonly<Record<string, unknown>>;

/** What a person, or an app for them, said. It begins a turn. */
export interface UserMessage {
  readonly role: 'user';
  readonly id: string;
  readonly content: string;
  /** Milliseconds since 1970, UTC. */
  readonly createdAt: number;
  /** Base64, without a `data:` prefix. */
  readonly images?: readonly string[];
  readonly metadata?: Metadata;
  /** The message that it takes the place of. */
  readonly editOf?: string;
}

/** A reply as it is kept when it has ended: what its terminal event said, for as long as the conversation lives. */
export interface AssistantMessage {
  readonly role: 'assistant';
  /** The reply's `message_id`. */
  readonly id: string;
  readonly content: string;
  /** Milliseconds since 1970, UTC: when the reply ended. */
  readonly createdAt: number;
  /** What the model thought before it spoke. Kept and shown, never sent to a model again. */
  readonly thinking?: string;
  readonly requestId: string;
  readonly model: string;
  /** The sequence number of the terminal event. */
  readonly seq: number;
  readonly outcome: ReplyOutcome;
  /** The answer that it takes the place of. */
  readonly variantOf?: string;
  /** The request's metadata, echoed. */
  readonly metadata?: Metadata;
}

export type Message = UserMessage | AssistantMessage;

/** A message at its place in the conversation: positions are 1, 2, 3 … */
export type StoredMessage = Message & { readonly position: number };

/**
 * Whether a reply belongs to what the model is sent later: one that failed without a word is kept and shown,
 * but sending its question again, unanswered, would make the model answer it instead of the new one.
 */
export const isSendable = (content: string, outcome: ReplyOutcome): boolean =>
  content !== '' || outcome.state === 'done';
