import type { Clock } from '../clock.ts';
import type { ReplyOutcome } from '../conversation/reply-event.ts';
import type { ChatStore, ReplyRecord } from '../stores/chat-store.ts';

const BATCH = 50;

/** How a reply ends whose writer is gone: nobody knows what it counted and timed. */
const toInterrupted = ({ createdAt }: ReplyRecord, now: number): ReplyOutcome => ({
  state: 'failed',
  failure: {
    code: 'interrupted',
    message: 'The service was stopped while it answered. What was said is kept; ask again.',
  },
  usage: { promptTokens: 0, completionTokens: 0, source: 'estimated' },
  timings: { queuedMs: 0, loadMs: 0, totalMs: now - createdAt },
});

/** Ends, as `interrupted`, the replies whose writers are gone; their text is kept. Says how many. */
export const sealAbandoned = async (store: ChatStore, clock: Clock): Promise<number> => {
  let sealed = 0;
  for (;;) {
    const abandoned = await store.findAbandoned(BATCH);
    for (const reply of abandoned) {
      const now = clock.now();
      const answer = await store.seal({
        messageId: reply.messageId,
        outcome: toInterrupted(reply, now),
        endedAt: now,
      });
      if (answer.type === 'ok') sealed += 1;
    }
    if (abandoned.length < BATCH) return sealed;
  }
};
