import { describe, expect, it } from 'vitest';
import { ThinkTags } from '../../src/providers/ollama/think-tags.ts';
import type { Said } from '../../src/providers/ollama/think-tags.ts';

interface Told {
  readonly thinking: string;
  readonly content: string;
}

const tell = (pieces: readonly string[]): Told => {
  const tags = new ThinkTags();
  return toTold([...pieces.flatMap((piece) => tags.take(piece)), ...tags.end()]);
};

const toTold = (said: readonly Said[]): Told => {
  const text = (channel: string): string => said.map((each) => (each.channel === channel ? each.text : '')).join('');
  expect(said.every((each) => each.text !== '')).toBe(true);
  return { thinking: text('thinking'), content: text('content') };
};

const CASES: readonly (readonly [string, Told])[] = [
  ['<think>hm</think>yes', { thinking: 'hm', content: 'yes' }],
  [
    '\n <think>\nhm, <b> and </b>\n</think>\n\nyes <think>no</think>',
    {
      thinking: 'hm, <b> and </b>',
      content: 'yes <think>no</think>',
    },
  ],
  ['<think>\n\n</think>\n\nyes', { thinking: '', content: 'yes' }],
  ['<think>a < b </ think </thin> </think>so', { thinking: 'a < b </ think </thin>', content: 'so' }],
  ['<think>it never', { thinking: 'it never', content: '' }],
  ['<think>cut in the tag </thi', { thinking: 'cut in the tag </thi', content: '' }],
  ['<think>only</think>\n', { thinking: 'only', content: '' }],
  ['so <think>hm</think>', { thinking: '', content: 'so <think>hm</think>' }],
  [' <thinking>x</thinking>', { thinking: '', content: ' <thinking>x</thinking>' }],
  ['<thi', { thinking: '', content: '<thi' }],
  [' \n', { thinking: '', content: ' \n' }],
  ['</think>x', { thinking: '', content: '</think>x' }],
];

describe('think tags in the content', () => {
  it.each(CASES)('are read at its start and nowhere else: %j', (text, told) => {
    expect(tell([text])).toStrictEqual(told);
  });

  it.each(CASES)('are read wherever the text is cut: %j', (text, told) => {
    expect(tell(text.split(''))).toStrictEqual(told);
    for (let first = 0; first <= text.length; first++) {
      for (let second = first; second <= text.length; second++) {
        expect(tell([text.slice(0, first), text.slice(first, second), text.slice(second)])).toStrictEqual(told);
      }
    }
  });

  it('hold nothing back but what may be a tag, or white space beside one', () => {
    const tags = new ThinkTags();
    expect(tags.take('<thi')).toStrictEqual([]);
    expect(tags.take('nk>so')).toStrictEqual([{ channel: 'thinking', text: 'so' }]);
    expect(tags.take(' it ')).toStrictEqual([{ channel: 'thinking', text: ' it' }]);
    expect(tags.take('is<')).toStrictEqual([{ channel: 'thinking', text: ' is' }]);
    expect(tags.take('/think>\n')).toStrictEqual([]);
    expect(tags.take('yes ')).toStrictEqual([{ channel: 'content', text: 'yes ' }]);
    expect(tags.take('<think>')).toStrictEqual([{ channel: 'content', text: '<think>' }]);
  });

  it('are words like any other when thinking has come by itself', () => {
    const tags = new ThinkTags();
    expect(tags.take('\n')).toStrictEqual([]);
    expect(tags.onThinking()).toStrictEqual([{ channel: 'content', text: '\n' }]);
    expect(tags.take('<think>')).toStrictEqual([{ channel: 'content', text: '<think>' }]);
  });
});
