import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parsePlainLine } from '../../src/providers/ollama/plain-line.ts';
import { loadRecording } from '../support/recordings.ts';

const toLine = (content: string): string =>
  `{"model":"llama3.2:1b","created_at":"2026-11-21T03:35:28.427Z","message":{"role":"assistant","content":${content}},"done":false}`;

/** What it is; undefined where it is no JSON. */
const parse = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

const anyText = fc.string({ unit: fc.oneof(fc.constantFrom('"', '\\', '{', '}', '\n', '\u2028', '\0'), fc.string()) });

/** A line of which one piece is gone, doubled, or something else. */
const damagedLine = fc.tuple(anyText, fc.nat(200), fc.nat(20), anyText).map(([content, at, length, instead]) => {
  const line = toLine(JSON.stringify(content));
  return line.slice(0, at) + instead + line.slice(at + length);
});

describe('a plain line', () => {
  it('is read as JSON.parse reads it, and every other line is left to JSON.parse', () => {
    const anyLine = fc.oneof(
      anyText.map((content) => toLine(JSON.stringify(content))),
      anyText.map((content) => toLine(`"${content}"`)),
      damagedLine,
      anyText,
    );
    fc.assert(
      fc.property(anyLine, (line) => {
        const plain = parsePlainLine(line);
        const isSame = plain === undefined || JSON.stringify(plain) === JSON.stringify(parse(line));
        expect(isSame).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  it('is any text without an escape', () => {
    const plainText = anyText.filter((text) => JSON.stringify(text) === `"${text}"`);
    fc.assert(
      fc.property(plainText, (content) => {
        expect(parsePlainLine(toLine(`"${content}"`))?.message.content).toBe(content);
      }),
    );
  });

  it('is what a real Ollama writes for a token of content', () => {
    const lines = loadRecording('utf8').response.chunks.join('').trim().split('\n');
    const tokens = lines.filter((line) => line.includes('"content":"') && !line.includes('"content":""'));
    expect(tokens.length).toBeGreaterThan(30);
    expect(tokens.filter((line) => !line.includes('\\') && !parsePlainLine(line))).toStrictEqual([]);
  });

  it.each([
    ['the last one', '"done":false', '"done":true'],
    ['one with another field', '"done":false', '"done":false,"more":1'],
    ['one with thinking', '"content":', '"thinking":"Hm","content":'],
    ['one with a blank', '"done":', '"done": '],
    ['one with a carriage return', '"done":false}', '"done":false}\r'],
  ])('is not %s', (_name, from, to) => {
    expect(parsePlainLine(toLine('"a"'))).toBeDefined();
    expect(parsePlainLine(toLine('"a"').replace(from, to))).toBeUndefined();
  });
});
