import { describe, expect, it } from 'vitest';
import { PrefillSeam } from '../../src/providers/ollama/prefill-seam.ts';

/** What gets through of the new text, however it comes. */
const through = (prefill: string, pieces: readonly string[]): string => {
  const seam = new PrefillSeam(prefill);
  return pieces.map((piece) => seam.take(piece)).join('') + seam.end();
};

/** Both in one piece and character by character: it must make no difference. */
const joined = (prefill: string, text: string): string => {
  const rest = through(prefill, [text]);
  expect(through(prefill, text.split(''))).toBe(rest);
  return prefill + rest;
};

const LONG = 'The quick brown fox jumps over the lazy dog, and then it sits down in the shade of a tree.';

describe('the seam between a text so far and the new text', () => {
  it.each([
    ['a word behind a space', 'I am ', 'here', 'I am here'],
    ['a space that comes again', 'I am ', ' here', 'I am here'],
    ['a space that the text so far has not', 'I am', ' here', 'I am here'],
    ['one of two line feeds', 'One.\n\n', '\nTwo.', 'One.\n\nTwo.'],
    ['both of two line feeds', 'One.\n\n', '\n\nTwo.', 'One.\n\nTwo.'],
    ['more white space than there was', 'One.\n', '\n\nTwo.', 'One.\n\nTwo.'],
    ['other white space', 'One. ', '\nTwo.', 'One. \nTwo.'],
    ['the rest of a word', 'scrip', 'ted', 'scripted'],
    ['white space behind nothing but white space', ' \n', ' \nHi', ' \nHi'],
    ['nothing', 'I am ', '', 'I am '],
    ['nothing but what was there', 'I am ', ' ', 'I am '],
  ])('joins %s', (_what, prefill, text, whole) => {
    expect(joined(prefill, text)).toBe(whole);
  });

  it('drops an echo of the whole text so far, and the white space behind it once', () => {
    expect(joined(LONG, `${LONG} It sleeps.`)).toBe(`${LONG} It sleeps.`);
    expect(joined(`${LONG} `, `${LONG} It sleeps.`)).toBe(`${LONG} It sleeps.`);
    expect(joined('sixteen letters.', 'sixteen letters. More.')).toBe('sixteen letters. More.');
  });

  it('drops an echo whose white space at the beginning is missing, or new', () => {
    expect(joined(`\n${LONG}`, `${LONG} More.`)).toBe(`\n${LONG} More.`);
    expect(joined(LONG, `\n\n${LONG} More.`)).toBe(`${LONG} More.`);
  });

  it('says nothing while an echo may go on', () => {
    const seam = new PrefillSeam(LONG);
    expect(seam.take(LONG.slice(0, 70))).toBe('');
    expect(seam.take(LONG.slice(70))).toBe('');
    expect(seam.take(' More')).toBe(' More');
    expect(seam.take('.')).toBe('.');
  });

  it('lets a beginning in other words pass, all of it', () => {
    for (const length of [1, 20, 63, 64, 80]) {
      const other = `${LONG.slice(0, length)}… no.`;
      expect(through(LONG, [other])).toBe(other);
      expect(through(LONG, other.split(''))).toBe(other);
    }
  });

  it('takes no short text for an echo', () => {
    expect(joined('fifteen letters', 'fifteen letters, again')).toBe('fifteen lettersfifteen letters, again');
  });

  it('lets the beginning of an echo pass at the end when it is too short for one, and drops it when it is not', () => {
    expect(through(LONG, [LONG.slice(0, 63)])).toBe(LONG.slice(0, 63));
    expect(through(LONG, [LONG.slice(0, 64)])).toBe('');
    expect(through(LONG, [LONG])).toBe('');
  });

  it('holds nothing back once it is decided', () => {
    const seam = new PrefillSeam(`${LONG} `);
    expect(seam.take(' ')).toBe('');
    expect(seam.take('so')).toBe('so');
    expect(seam.take(' ')).toBe(' ');
    expect(seam.end()).toBe('');
  });
});
