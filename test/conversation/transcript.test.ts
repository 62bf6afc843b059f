import { describe, expect, it } from 'vitest';
import { isSendable } from '../../src/conversation/message.ts';
import type { ReplyOutcome } from '../../src/conversation/reply-event.ts';
import { toDigest, toReplyEnd, toTranscript } from '../../src/conversation/transcript.ts';

const outcome: ReplyOutcome = {
  state: 'done',
  finishReason: 'stop',
  usage: { promptTokens: 1, completionTokens: 1, source: 'measured' },
  timings: { queuedMs: 0, loadMs: 0, totalMs: 1 },
};

describe('a transcript', () => {
  it('spells the text of each channel, and nothing else', () => {
    const delta = { type: 'text-delta', at: 0 } as const;
    const entries = [
      { seq: 1, event: { type: 'context', droppedTurns: 1, keptTurns: 1, estimatedTokens: 1, contextWindow: 1 } },
      { seq: 2, event: { ...delta, channel: 'thinking', text: 'Hm' } },
      { seq: 3, event: { ...delta, channel: 'content', text: 'Ye' } },
      { seq: 4, event: { ...delta, channel: 'thinking', text: '.' } },
      { seq: 5, event: { ...delta, channel: 'content', text: 's' } },
      { seq: 6, event: toReplyEnd('Yes', outcome, 5) },
    ] as const;
    expect(toTranscript(entries)).toStrictEqual({ content: 'Yes', thinking: 'Hm.' });
  });

  it('ends with the length in UTF-16 units, and the CRC-32 of the UTF-8 text in 8 digits', () => {
    expect(toReplyEnd('123456789', outcome, 5)).toStrictEqual({
      type: 'end',
      ...outcome,
      text: '123456789',
      length: 9,
      digest: 'cbf43926', // the check value of CRC-32
      endedAt: 5,
    });
    expect(toReplyEnd('😀', outcome, 5).length).toBe(2);
    expect(toDigest('')).toBe('00000000');
  });
});

describe('a turn', () => {
  it.each([
    ['done', 'Yes.', true],
    ['failed', 'Ye', true],
    ['cancelled', 'Ye', true],
    ['failed', '', false],
    ['cancelled', '', false],
  ] as const)('that is %s with the text %j is sent to the model later: %s', (state, content, expected) => {
    expect(isSendable(content, { ...outcome, state })).toBe(expected);
  });
});
