import type { Clock } from '../clock.ts';
import type { LogEntry, ReplyOutcome } from '../conversation/reply-event.ts';
import { estimateTextTokens } from '../conversation/tokens.ts';
import { toTranscript } from '../conversation/transcript.ts';
import type { ChatStore, ReplyRecord } from '../stores/chat-store.ts';

const BATCH = 50;
/** More entries than any log has. */
const MAX_LOG = 10_000;

type Figures = Pick<ReplyOutcome, 'usage' | 'timings'>;

/** Of a reply that another process writes or wrote: nobody here knows what it counted and timed, but what it said is there. */
export const estimateFigures = async (
  store: ChatStore,
  { messageId, createdAt, promptTokens, continues }: ReplyRecord,
  now: number,
): Promise<Figures> => {
  const log = await store.readLog(messageId, 0, MAX_LOG);
  const { thinking, content } = toTranscript(continues === undefined ? log : withoutTextSoFar(log));
  return {
    usage: { promptTokens, completionTokens: estimateTextTokens(thinking + content), source: 'estimated' },
    timings: { queuedMs: 0, loadMs: 0, totalMs: now - createdAt },
  };
};

/** Of a reply that goes on with another: each channel's first delta is that one's. */
const withoutTextSoFar = (log: readonly LogEntry[]): readonly LogEntry[] =>
  log.filter(({ event }) => event.type !== 'text-delta' || event.at > 0);

const toInterrupted = (figures: Figures): ReplyOutcome => ({
  state: 'failed',
  failure: {
    code: 'interrupted',
    message: 'The service was stopped while it answered. What was said is kept; ask again.',
  },
  ...figures,
});

export interface SweepParts {
  readonly store: ChatStore;
  readonly clock: Clock;
  /** Whether this process writes it: one that slept longer than a lease must not take it for abandoned. */
  readonly isOurs: (messageId: string) => boolean;
}

/** Ends, as `interrupted`, the replies whose writers are gone; their text is kept. Says how many. */
export const sealAbandoned = async (parts: SweepParts): Promise<number> => {
  for (let total = 0; ;) {
    const abandoned = await parts.store.findAbandoned(BATCH);
    const sealed = await sealAll(parts, abandoned);
    total += sealed;
    if (abandoned.length < BATCH || sealed === 0) return total; // the next sweep meets what is left
  }
};

const sealAll = async ({ store, clock, isOurs }: SweepParts, abandoned: readonly ReplyRecord[]): Promise<number> => {
  let sealed = 0;
  for (const reply of abandoned) {
    if (isOurs(reply.messageId)) continue;
    const now = clock.now();
    const outcome = toInterrupted(await estimateFigures(store, reply, now));
    const answer = await store.seal({ messageId: reply.messageId, outcome, endedAt: now });
    if (answer.type === 'ok') sealed += 1;
  }
  return sealed;
};
