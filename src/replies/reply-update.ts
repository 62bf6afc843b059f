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

/** What the watcher has seen. */
export interface Position {
  /** The last event; 0 is none. */
  readonly seq: number;
  /** Of `content` as of `seq`, where the watcher knows them: they are compared with the stored text. */
  readonly at?: number;
  readonly digest?: string;
}
