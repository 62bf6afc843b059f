import { crc32 } from 'node:zlib';
import type { Channel, LogEntry, ReplyEnd, ReplyOutcome } from './reply-event.ts';

/** What a log's entries say so far, channel by channel. */
export interface Transcript {
  readonly content: string;
  readonly thinking: string;
}

/** Folds entries into the texts that they spell. */
export const toTranscript = (entries: Iterable<LogEntry>): Transcript => {
  const texts: Record<Channel, string> = { content: '', thinking: '' };
  for (const { event } of entries) {
    if (event.type === 'text-delta') texts[event.channel] += event.text;
  }
  return texts;
};

/** CRC-32 of the UTF-8 text in 8 hex digits: it detects accidents, not attackers. */
export const toDigest = (text: string): string => crc32(text).toString(16).padStart(8, '0');

/** The terminal event of a reply whose content is `text`. */
export const toReplyEnd = (text: string, outcome: ReplyOutcome, endedAt: number): ReplyEnd => ({
  type: 'end',
  ...outcome,
  text,
  length: text.length,
  digest: toDigest(text),
  endedAt,
});
