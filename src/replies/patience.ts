import type { Clock } from '../clock.ts';
import { StorageUnavailableError } from '../errors.ts';
import { HEARTBEAT_MS } from './live-reply.ts';
import type { ReplyUpdate } from './reply-update.ts';

/** A store that is away for longer is not waited for any more. */
export const STORE_PATIENCE_MS = 60_000;
const RETRY_MS = 250;

const DEGRADED: ReplyUpdate = { type: 'status', status: { state: 'degraded' } };
const GENERATING: ReplyUpdate = { type: 'status', status: { state: 'generating' } };

/**
 * Asks the store for a watcher, who has been promised an end: while the store is away the watcher is told so, and it
 * is asked again. Undefined when aborted. @throws what the store says when it is away for too long, or anything else
 */
export async function* askPatiently<Answer>(
  clock: Clock,
  ask: () => Promise<Answer>,
  signal: AbortSignal,
): AsyncGenerator<ReplyUpdate, Answer | undefined> {
  const since = clock.elapsed();
  let toldAt: number | undefined;
  while (!signal.aborted) {
    const answer = await tryOnce(ask);
    if (answer.type === 'ok') {
      if (toldAt !== undefined) yield GENERATING;
      return answer.answer;
    }
    const now = clock.elapsed();
    if (now - since >= STORE_PATIENCE_MS) throw answer.error;
    if (toldAt === undefined || now - toldAt >= HEARTBEAT_MS) {
      toldAt = now;
      yield DEGRADED;
    }
    await clock.sleep(RETRY_MS, signal).catch(() => undefined);
  }
  return undefined;
}

type Tried<Answer> =
  | { readonly type: 'ok'; readonly answer: Answer }
  | { readonly type: 'away'; readonly error: StorageUnavailableError };

const tryOnce = async <Answer>(ask: () => Promise<Answer>): Promise<Tried<Answer>> => {
  try {
    return { type: 'ok', answer: await ask() };
  } catch (error) {
    if (error instanceof StorageUnavailableError) return { type: 'away', error };
    throw error;
  }
};
