import type { AssistantMessage } from '../../conversation/message.ts';
import type { ReplyEvent, ReplyOutcome } from '../../conversation/reply-event.ts';
import { toReplyEnd } from '../../conversation/transcript.ts';
import type { Finish } from '../chat-store.ts';
import { fromStoredText, toStoredText } from '../stored-text.ts';

/** What a stored end says. Its text is the message's: it is kept once, and length and digest are made from it. */
interface StoredEnd {
  readonly outcome: ReplyOutcome;
  readonly endedAt: number;
}

/**
 * An event as the log keeps it: `c<at>:<text>` and `t<at>:<text>` are deltas of content and thinking, whose texts the
 * script that closes a reply joins without reading JSON; `e` is the end and `j` all else, both JSON. `m` is an end, too:
 * the message as it was then, where the stored one may have grown since.
 */
export const encodeEvent = (event: ReplyEvent): string => {
  if (event.type === 'text-delta') {
    return `${event.channel === 'content' ? 'c' : 't'}${event.at}:${toStoredText(event.text)}`;
  }
  if (event.type !== 'end') return `j${JSON.stringify(event)}`;
  const { type: _type, text: _text, length: _length, digest: _digest, endedAt, ...outcome } = event;
  return `e${JSON.stringify({ outcome, endedAt } satisfies StoredEnd)}`;
};

/** The events that end a reply; `message` is how it is kept. A reply that goes on with another has that one's id. */
export const encodeEnding = ({ messageId, events, message }: Finish): readonly string[] =>
  events.map((event) =>
    event.type === 'end' && message.id !== messageId ? `m${JSON.stringify(message)}` : encodeEvent(event),
  );

/** `message` is the reply's, as JSON: it is there where the event is the end. */
export const decodeEvent = (entry: string, message: string): ReplyEvent => {
  const kind = entry[0];
  if (kind === 'j') return JSON.parse(entry.slice(1));
  if (kind === 'e') {
    const { outcome, endedAt }: StoredEnd = JSON.parse(entry.slice(1));
    const { content }: AssistantMessage = JSON.parse(message);
    return toReplyEnd(content, outcome, endedAt);
  }
  if (kind === 'm') {
    const { content, outcome, createdAt }: AssistantMessage = JSON.parse(entry.slice(1));
    return toReplyEnd(content, outcome, createdAt);
  }
  const colon = entry.indexOf(':');
  return {
    type: 'text-delta',
    channel: kind === 'c' ? 'content' : 'thinking',
    at: Number(entry.slice(1, colon)),
    text: fromStoredText(entry.slice(colon + 1)),
  };
};
