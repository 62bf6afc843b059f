import type { GroupCommit } from './group-commit.ts';
import type { StoreParts } from './tables.ts';

/** How many conversations, or logs, one transaction removes: it holds up the loop for a few milliseconds. */
const CHUNK = 50;

/** Request ids are rows of a few bytes. */
const REQUEST_CHUNK = 1_000;

/**
 * Removes what has outlived its retention, a chunk per transaction, so that replies are written in between.
 * Readers do not wait for it: to them, what has expired is gone already.
 */
export const removeExpired = async (parts: StoreParts, commits: GroupCommit): Promise<void> => {
  for (const removeChunk of [removeLogs, removeRequests, removeConversations]) {
    while (await commits.run('process', () => removeChunk(parts)));
  }
};

/** Each of these removes a chunk and says whether there may be more. */
const removeLogs = ({ tables, clock }: StoreParts): boolean => {
  const replies = tables.replies.findExpiredLogs(clock.now(), CHUNK);
  for (const reply of replies) {
    tables.log.delete(reply);
    tables.replies.forgetLog(reply);
  }
  return replies.length === CHUNK;
};

const removeRequests = ({ tables, clock }: StoreParts): boolean =>
  tables.requests.deleteExpired(clock.now(), REQUEST_CHUNK) === REQUEST_CHUNK;

const removeConversations = ({ tables, clock }: StoreParts): boolean =>
  tables.conversations.deleteExpired(clock.now(), CHUNK) === CHUNK;
