import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LogEntry } from '../../src/conversation/reply-event.ts';
import { EventGatherer } from '../../src/replies/event-gatherer.ts';
import { checkLog } from './rig.ts';

const EMOJI = '😀';
const [HIGH = '', LOW = ''] = EMOJI.split('');

/** What is gathered of these texts, taken after each of them whose index is in `takes`. */
const gather = (texts: readonly string[], takes: ReadonlySet<number> = new Set()): readonly LogEntry[] => {
  const gatherer = new EventGatherer();
  const events = texts.flatMap((text, index) => {
    gatherer.addText('content', text);
    return takes.has(index) ? gatherer.take() : [];
  });
  gatherer.close();
  return [...events, ...gatherer.take()].map((event, index) => ({ seq: index + 1, event }));
};

describe('EventGatherer', () => {
  it('makes one delta of neighbouring texts of a channel', () => {
    const gatherer = new EventGatherer();
    for (const text of ['The ', 'kettle ', 'boils.']) gatherer.addText('content', text);
    expect(gatherer.take()).toStrictEqual([
      { type: 'text-delta', channel: 'content', at: 0, text: 'The kettle boils.' },
    ]);
    expect(gatherer.take()).toStrictEqual([]);
  });

  it('joins nothing to a text that is apart', () => {
    const gatherer = new EventGatherer();
    gatherer.addApart('content', 'Half of it');
    gatherer.addText('content', ' and');
    gatherer.addText('content', ' the rest.');
    expect(gatherer.take()).toStrictEqual([
      { type: 'text-delta', channel: 'content', at: 0, text: 'Half of it' },
      { type: 'text-delta', channel: 'content', at: 10, text: ' and the rest.' },
    ]);
  });

  it('counts offsets per channel', () => {
    const gatherer = new EventGatherer();
    gatherer.addText('thinking', 'Hm. ');
    gatherer.addText('content', 'Yes');
    gatherer.addText('thinking', 'Or not?');
    gatherer.addText('content', '.');
    expect(gatherer.take()).toMatchObject([
      { channel: 'thinking', at: 0 },
      { channel: 'content', at: 0 },
      { channel: 'thinking', at: 4 },
      { channel: 'content', at: 3 },
    ]);
    expect(gatherer).toMatchObject({ totalUnits: 15, totalEvents: 4, hasContent: true });
  });

  it('keeps half of a pair until the other half comes', () => {
    expect(gather([`a${HIGH}`, `${LOW}b`], new Set([0]))).toMatchObject([
      { event: { text: 'a' } },
      { event: { at: 1, text: `${EMOJI}b` } },
    ]);
  });

  it.each([
    ['at the end', ['a', HIGH], 'a\uFFFD'],
    ['before other text', [HIGH, 'a'], '\uFFFDa'],
    ['without a first half', ['a', LOW], 'a\uFFFD'],
    ['twice', [HIGH, HIGH, LOW], `\uFFFD${EMOJI}`],
  ])('puts U+FFFD for half of a pair %s', (_, texts, expected) => {
    expect(checkLog(gather(texts)).content).toBe(expected);
  });

  it('spells the same text wherever it is cut, and never half of a pair', () => {
    const texts = fc.array(fc.string({ unit: fc.constantFrom('a', EMOJI, HIGH, LOW, 'é', '\n') }), { maxLength: 12 });
    fc.assert(
      fc.property(texts, fc.array(fc.nat(12)), (given, takes) => {
        const whole = given.join('');
        const log = gather(given, new Set(takes));
        expect(checkLog(log).content).toBe(whole.toWellFormed());
      }),
      { numRuns: 300 },
    );
  });
});
