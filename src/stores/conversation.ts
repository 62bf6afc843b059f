import type { Metadata } from '../conversation/message.ts';

/** A conversation belongs to whoever is authenticated; the id is the client's own. */
export interface ConversationKey {
  readonly owner: string;
  readonly conversationId: string;
}

/** Where the view that is sent to the model begins. It only moves forward, but for what is asked again (`Replacement`). */
export interface Cut {
  /** The position of the last message that is left out; 0 when nothing is. */
  readonly position: number;
  /** How many turns are left out by it. */
  readonly droppedTurns: number;
}

/** What was said up to `position`, in short: made beside the messages, which stay as they are. */
export interface Summary {
  readonly position: number;
  readonly text: string;
  /** The model that made it. */
  readonly model: string;
  /** Milliseconds since 1970, UTC. */
  readonly createdAt: number;
}

/** Positions, the last one included. */
export interface PositionRange {
  readonly first: number;
  readonly last: number;
}

export interface Conversation extends ConversationKey {
  readonly title?: string;
  readonly systemPrompt?: string;
  readonly metadata?: Metadata;
  /** The model that the conversation asks for when a request names none. */
  readonly model?: string;
  /** Milliseconds since 1970, UTC. */
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly messageCount: number;
  /** The reply that runs, by its `message_id`: one at a time. */
  readonly activeReply?: string;
  /** The model that gave the last reply with text in it. */
  readonly answeredBy?: string;
  readonly cut: Cut;
  /** What an edit or another answer has taken the place of: kept and shown, and not sent. Ascending, disjoint. */
  readonly replaced: readonly PositionRange[];
  /** By their positions, ascending; at most two: the one in force, and the one that is ready for the next cut. */
  readonly summaries: readonly Summary[];
  /**
   * Rises with every change of what a prompt is made of; 0 is a conversation that does not exist. It begins at
   * random: a conversation that takes the id of a deleted one is never taken for it.
   */
  readonly version: number;
}

export interface NewConversation extends ConversationKey {
  readonly systemPrompt?: string;
  readonly metadata?: Metadata;
  readonly model?: string;
}

/** What may be changed of a conversation later; what is absent stays, null takes away. */
export interface ConversationPatch {
  readonly title?: string | null;
  /** Of the turns to come. */
  readonly systemPrompt?: string | null;
  readonly metadata?: Metadata | null;
}

/** A page of an owner's conversations, the one used last first. */
export interface ConversationPage {
  readonly conversations: readonly Conversation[];
  /** Asks for the page after; absent when there is none. Opaque. */
  readonly nextCursor?: string;
}

export interface PageRequest {
  /** Of the page before; absent is the first. */
  readonly cursor?: string;
  readonly limit: number;
}
