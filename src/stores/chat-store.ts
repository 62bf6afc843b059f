import type { AssistantMessage, Metadata, StoredMessage, UserMessage } from '../conversation/message.ts';
import type { LogEntry, ReplyEvent, ReplyOutcome, ReplyState } from '../conversation/reply-event.ts';
import type {
  Conversation,
  ConversationKey,
  ConversationPage,
  ConversationPatch,
  Cut,
  NewConversation,
  PageRequest,
  PositionRange,
  Summary,
} from './conversation.ts';

export type * from './conversation.ts';

/** A request id that has been used: the reply that answers it, and a digest of the request's body. */
export interface KnownRequest {
  readonly messageId: string;
  readonly fingerprint: string;
}

/** What is read before a reply begins, in one call. */
export interface Opened {
  readonly request?: KnownRequest;
  readonly conversation?: Conversation;
  /** The sendable messages after the cut, oldest first. */
  readonly window: readonly StoredMessage[];
}

/** Right to write a reply: a counter and a nonce, compared whole, so that none is ever issued twice. */
export type Token = string;

export interface ReplyRecord extends ConversationKey {
  readonly messageId: string;
  readonly requestId: string;
  readonly state: ReplyState;
  readonly model: string;
  /** The sequence number of the last event; 0 when there is none. */
  readonly seq: number;
  /** Milliseconds since 1970, UTC. */
  readonly createdAt: number;
  /** The instance that writes it. */
  readonly instance: string;
  /** Of the prompt, as estimated when it began. */
  readonly promptTokens: number;
  readonly metadata?: Metadata;
  /** The reply that this one goes on with: its message is the one that grows. */
  readonly continues?: string;
  /** The answer that this one takes the place of. */
  readonly variantOf?: string;
}

/**
 * What a reply takes the place of, at the moment when it ends and is one that is sent later (`isSendable`). Until
 * then, and when it is none, nothing of the conversation's thread changes.
 */
export interface Replacement {
  /** The messages from here up to the reply's own question, or its answer, are kept and not sent any more. */
  readonly from: number;
  /** What the window has before: positions of sendable messages below `from` and above the cut, ascending. */
  readonly window: readonly number[];
  /** Of the thread as it then is: here alone a cut may move back. */
  readonly cut: Cut;
}

export interface Begin extends ConversationKey {
  readonly requestId: string;
  readonly fingerprint: string;
  readonly messageId: string;
  /** What is asked; absent where the message at `questionPosition` is answered again, or its answer goes on. */
  readonly userMessage?: UserMessage;
  /** The message that is answered, where it is not a new one. */
  readonly questionPosition?: number;
  readonly replaces?: Replacement;
  /** The reply that this one goes on with, the last message of the window: it grows where it stands. */
  readonly continues?: { readonly messageId: string; readonly position: number };
  /** The answer that this one takes the place of. */
  readonly variantOf?: string;
  readonly model: string;
  /** Of the prompt, estimated. */
  readonly promptTokens: number;
  /** Milliseconds since 1970, UTC. */
  readonly createdAt: number;
  readonly metadata?: Metadata;
  /** The conversation's version that the prompt was made from. */
  readonly expectedVersion: number;
  /** Kept when the conversation is created by this request, or has no turn yet. */
  readonly systemPrompt?: string;
  readonly cut: Cut;
  readonly instance: string;
}

export type BeginAnswer =
  /** The request id, the user message and the reply are there, together. */
  | { readonly type: 'begun'; readonly token: Token }
  /** The same request was begun before. */
  | { readonly type: 'exists'; readonly messageId: string }
  /** The request id was used with another body. */
  | { readonly type: 'conflict'; readonly messageId: string }
  /** Another reply runs in the conversation. */
  | { readonly type: 'busy'; readonly messageId: string }
  /** The conversation has changed since it was opened: open it again. */
  | { readonly type: 'stale' };

export interface Append {
  readonly messageId: string;
  readonly token: Token;
  /** The sequence number of the first of `events`. */
  readonly seq: number;
  readonly events: readonly ReplyEvent[];
}

export interface Finish extends Append {
  /** The reply as the conversation keeps it; the last of `events` is its terminal event. */
  readonly message: AssistantMessage;
}

export type AppendAnswer =
  | { readonly type: 'ok' }
  /** All of it was stored before: the answer had been lost. */
  | { readonly type: 'duplicate' }
  /** The log ends at `have`: append again from `have + 1`. */
  | { readonly type: 'gap'; readonly have: number }
  /** Another writer has the reply. */
  | { readonly type: 'fenced' }
  /** The reply has ended. */
  | { readonly type: 'closed'; readonly state: ReplyState }
  /** The reply is not there (deleted with its conversation). */
  | { readonly type: 'gone' };

export interface Lease {
  readonly messageId: string;
  readonly token: Token;
}

export type RenewAnswer = Extract<AppendAnswer, { type: 'ok' | 'fenced' | 'closed' | 'gone' }>;

/** Ends a reply from outside of its writer. The store makes text, digest and message from the log. */
export interface Closing {
  readonly messageId: string;
  readonly outcome: ReplyOutcome;
  readonly endedAt: number;
}

export type CloseAnswer =
  /** Ended by this call; `entry` is the terminal event. */
  | { readonly type: 'ok'; readonly entry: LogEntry }
  | { readonly type: 'closed'; readonly state: ReplyState }
  | { readonly type: 'gone' };

export type SealAnswer =
  | CloseAnswer
  /** Its writer lives: it is not abandoned. */
  | { readonly type: 'live' };

export interface MessageRange {
  /** Only messages at positions below it. */
  readonly before?: number;
  readonly limit: number;
}

/**
 * Conversations and reply logs. Every operation is atomic and answers with one of a closed set; it throws only
 * `StorageUnavailableError`, `StorageFullError` and `StorageLostError`, and then nothing of it was done or, where
 * the answer was lost, doing it again is safe. Who may read what is the caller's concern (`chat/`): a
 * `messageId` alone finds a reply, and its record names the owner.
 * Strings come back unit by unit, half of a surrogate pair too; ids are compared so.
 * The operations and their answers follow durable replies' log: dense sequence numbers, fenced by a token.
 */
export interface ChatStore extends AsyncDisposable {
  /** Resolves when the store answers. */
  ping(): Promise<void>;
  /** What is dangerous about how the store is set up, a sentence each: for the log of the start. */
  findRisks(): Promise<readonly string[]>;

  createConversation(
    conversation: NewConversation,
  ): Promise<{ readonly type: 'created'; readonly conversation: Conversation } | { readonly type: 'exists' }>;
  loadConversation(key: ConversationKey): Promise<Conversation | undefined>;
  /** The newest `limit` messages below `before`, oldest first; undefined without such a conversation. */
  loadMessages(key: ConversationKey, range: MessageRange): Promise<readonly StoredMessage[] | undefined>;
  /**
   * An owner's conversations, the one used last first; a page costs the same however many there are. The list may
   * lag behind what it lists, and is mended when it is read: it never shows what is gone. Throws
   * `InvalidRequestError` for a cursor that is none of its own.
   */
  listConversations(owner: string, page: PageRequest): Promise<ConversationPage>;
  /** Counts as a use. A changed system prompt raises the version. */
  updateConversation(
    key: ConversationKey,
    patch: ConversationPatch,
  ): Promise<{ readonly type: 'updated'; readonly conversation: Conversation } | { readonly type: 'gone' }>;
  /**
   * Keeps a summary beside the messages. Of those there are, the newest at or before the cut stays, too; what is older
   * goes. No use, and no change of the version: a prompt without it is as good. `stale` when messages up to its
   * position were replaced since `expectedReplaced` was read.
   */
  keepSummary(
    key: ConversationKey,
    summary: Summary,
    expectedReplaced: readonly PositionRange[],
  ): Promise<{ readonly type: 'kept' | 'stale' | 'gone' }>;
  /** Removes the conversation, its messages, logs and request ids; a late append finds its reply gone. */
  deleteConversation(key: ConversationKey): Promise<{ readonly type: 'deleted' | 'gone' }>;

  /** The id of a new reply, made of random text: a store puts into it what finds the reply by its id alone. */
  toMessageId(key: ConversationKey, random: string): string;
  /** What a new reply needs to know; its cost does not depend on the length of the conversation. */
  open(key: ConversationKey, requestId: string): Promise<Opened>;
  /**
   * Creates the conversation where it does not exist. The very same call again (the answer was lost) is answered as
   * the first was, while the reply runs; a repeat of the request under another `messageId` finds that it exists.
   */
  begin(begin: Begin): Promise<BeginAnswer>;
  /** Appends to many replies at once; the answers are in the order of the appends. Renews their leases. */
  append(appends: readonly Append[]): Promise<readonly AppendAnswer[]>;
  /** The last events, the message in the conversation and the end of the lease, together. */
  finish(finish: Finish): Promise<AppendAnswer>;
  /** Ends a running reply as its caller wants; no token is needed. */
  cancel(closing: Closing): Promise<CloseAnswer>;
  renew(leases: readonly Lease[]): Promise<readonly RenewAnswer[]>;

  /** Running replies whose lease has expired, or whose process is gone; at most `limit`. */
  findAbandoned(limit: number): Promise<readonly ReplyRecord[]>;
  /** Ends an abandoned reply. */
  seal(closing: Closing): Promise<SealAnswer>;

  /** A reply by its id; undefined when it never was, or its conversation is deleted or expired. */
  loadReply(messageId: string): Promise<ReplyRecord | undefined>;
  /**
   * Entries after `after`, at most `limit`, oldest first. A log lives 15 minutes longer than its reply: after
   * that the answer is empty, and the message has what the terminal event said.
   */
  readLog(messageId: string, after: number, limit: number): Promise<readonly LogEntry[]>;
  /**
   * Calls `onNudge` when a reply's log may have grown, whichever instance has written it, until disposed. Nudges
   * may be lost and may come twice: they say when to read, never what. It is called once when the watch is under
   * way, as what came before that was not told.
   */
  watch(messageId: string, onNudge: () => void): Disposable;
  /** The message of a reply that has ended. */
  loadReplyMessage(messageId: string): Promise<AssistantMessage | undefined>;
}

/** How long what is kept lives after its last use. */
export interface Retention {
  readonly conversationMs: number;
  readonly requestMs: number;
  readonly logMs: number;
}

export const MINUTE_MS = 60_000;
export const DAY_MS = 24 * 60 * MINUTE_MS;

export const DEFAULT_RETENTION: Retention = { conversationMs: 30 * DAY_MS, requestMs: DAY_MS, logMs: 15 * MINUTE_MS };

/** How long a writer may be silent before its reply counts as abandoned. */
export const LEASE_MS = 4_000;
