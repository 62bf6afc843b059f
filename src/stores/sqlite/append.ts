import type { Append, AppendAnswer, Lease, RenewAnswer } from '../chat-store.ts';
import { LEASE_MS } from '../chat-store.ts';
import type { ReplyRow } from './reply-table.ts';
import type { StoreParts } from './tables.ts';

/** `ChatStore.append` of one reply's events, inside a transaction. */
export const appendEvents = ({ tables, clock }: StoreParts, append: Append): AppendAnswer => {
  const reply = tables.replies.find(append.messageId);
  const refusal = toWriteRefusal(reply, append) ?? toPlaceRefusal(reply, append);
  if (!reply || refusal) return refusal ?? { type: 'gone' };
  tables.log.insert(reply.id, append.seq, append.events);
  tables.replies.advance(reply.id, reply.seq + append.events.length, clock.elapsed() + LEASE_MS);
  return { type: 'ok' };
};

/** `ChatStore.renew` of one lease, inside a transaction. */
export const renewLease = ({ tables, clock }: StoreParts, lease: Lease): RenewAnswer => {
  const reply = tables.replies.find(lease.messageId);
  const refusal = toWriteRefusal(reply, lease);
  if (!reply || refusal) return refusal ?? { type: 'gone' };
  tables.replies.renew(reply.id, clock.elapsed() + LEASE_MS);
  return { type: 'ok' };
};

/** Why the holder of this token may not write. The token comes first: a stranger learns nothing else. */
export const toWriteRefusal = (
  reply: ReplyRow | undefined,
  lease: Lease,
): Exclude<RenewAnswer, { type: 'ok' }> | undefined => {
  if (!reply) return { type: 'gone' };
  if (reply.token !== lease.token) return { type: 'fenced' };
  return reply.state === 'running' ? undefined : { type: 'closed', state: reply.state };
};

/** Why these events do not go on where the log ends. Only the token's holder can have written what is there. */
export const toPlaceRefusal = (reply: ReplyRow | undefined, append: Append): AppendAnswer | undefined => {
  const have = reply?.seq ?? 0;
  if (append.seq === have + 1) return undefined;
  const last = append.seq + append.events.length - 1;
  return last <= have ? { type: 'duplicate' } : { type: 'gap', have };
};
