import type { Clock } from '../clock.ts';
import { StorageUnavailableError, toLLMError, type LLMError } from '../errors.ts';
import type { AssistantMessage } from '../conversation/message.ts';
import type { ReplyEvent, ReplyFailure, ReplyOutcome } from '../conversation/reply-event.ts';
import { toReplyEnd, toTranscript } from '../conversation/transcript.ts';
import type { AppendAnswer, ChatStore, Token } from '../stores/chat-store.ts';
import type { LiveReply } from './live-reply.ts';
import { toEntries, toEventsAfter } from './log-tail.ts';

export interface EndingParts {
  readonly store: ChatStore;
  readonly clock: Clock;
  /** Told of errors that are not ours, once each. */
  readonly onUnexpected: (error: LLMError) => void;
}

export interface Ending {
  readonly live: LiveReply;
  readonly token: Token;
  readonly outcome: ReplyOutcome;
  /** What is not acknowledged yet; it follows what is shown. */
  readonly rest: readonly ReplyEvent[];
}

const RETRY_MS = 1_000;
/** A store that is away for longer ends the watches without a stored end. */
const STORE_PATIENCE_MS = 5_000;

export const toReplyFailure = (error: LLMError): ReplyFailure => ({
  code: error.code,
  message: error.message,
  ...(error.retryAfterMs !== undefined && { retryAfterMs: error.retryAfterMs }),
});

/**
 * Stores how a reply ended, together with what is not stored of it yet, and shows it. Where the store does not take
 * it, watchers are told without a number, and it is tried again until `signal` aborts, and
 * once in any case. False when the reply is no longer ours to end.
 */
export const storeEnd = async (parts: EndingParts, ending: Ending, signal: AbortSignal): Promise<boolean> => {
  const { live, token } = ending;
  const message = toMessage(ending, parts.clock.now());
  const events = [...ending.rest, toReplyEnd(message.content, ending.outcome, message.createdAt)];
  const refusals = new Refusals(parts, live, signal);
  const shown = live.seq;
  let have = shown;
  for (;;) {
    const rest = toEventsAfter(have, live, events);
    const finish = { messageId: live.identity.messageId, token, seq: have + 1, events: rest, message };
    const answer = await parts.store.finish(finish).catch((error: unknown) => refusals.wait(error));
    if (answer?.type === 'gap') {
      have = answer.have;
    } else if (answer) {
      if (isStored(answer)) live.publish(toEntries(shown + 1, events));
      return isStored(answer);
    } else if (signal.aborted) {
      return true;
    }
  }
};

const isStored = ({ type }: AppendAnswer): boolean => type === 'ok' || type === 'duplicate';

/** What watchers hear while the store does not take an end. */
class Refusals {
  readonly #parts: EndingParts;
  readonly #live: LiveReply;
  readonly #signal: AbortSignal;
  readonly #since: number;
  #isReported = false;

  constructor(parts: EndingParts, live: LiveReply, signal: AbortSignal) {
    this.#parts = parts;
    this.#live = live;
    this.#signal = signal;
    this.#since = parts.clock.elapsed();
  }

  /** Resolves when it is time for the next try, or when there will be none. */
  async wait(cause: unknown): Promise<undefined> {
    const { clock } = this.#parts;
    const mayPass = cause instanceof StorageUnavailableError && clock.elapsed() - this.#since < STORE_PATIENCE_MS;
    if (mayPass) this.#live.degrade();
    else this.#tell(toLLMError(cause));
    await clock.sleep(RETRY_MS, this.#signal).catch(() => undefined);
    if (this.#signal.aborted) this.#tell(toLLMError(cause));
  }

  #tell(error: LLMError): void {
    if (error.code === 'internal_error' && !this.#isReported) this.#parts.onUnexpected(error);
    this.#isReported = true;
    this.#live.failToEnd(toReplyFailure(error));
  }
}

/** The message as the conversation keeps it: what is shown, and the rest. */
const toMessage = ({ live, outcome, rest }: Ending, endedAt: number): AssistantMessage => {
  const { messageId, requestId, model, continues, variantOf, metadata } = live.identity;
  const { content, thinking } = toTranscript(toEntries(live.seq + 1, rest));
  const thoughts = live.text('thinking') + thinking;
  return {
    role: 'assistant',
    id: continues ?? messageId,
    content: live.text('content') + content,
    createdAt: endedAt,
    ...(thoughts && { thinking: thoughts }),
    requestId,
    model,
    seq: live.seq + rest.length + 1,
    outcome,
    ...(variantOf !== undefined && { variantOf }),
    ...(metadata && { metadata }),
  };
};
