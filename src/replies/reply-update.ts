import type { Channel, LogEntry, ReplyFailure } from '../conversation/reply-event.ts';
import type { ReplyStatus } from './reply-status.ts';

/** What a watcher is told, in order. */
export type ReplyUpdate =
  /** The next entries of the log. */
  | { readonly type: 'entries'; readonly entries: readonly LogEntry[] }
  | { readonly type: 'status'; readonly status: ReplyStatus }
  /** What the watcher has is not what is stored: `text` is the channel's whole text as of `seq`. */
  | { readonly type: 'rewind'; readonly seq: number; readonly channel: Channel; readonly text: string }
  /** The watch ends although the end is not stored. */
  | { readonly type: 'unstored-end'; readonly failure: ReplyFailure };
