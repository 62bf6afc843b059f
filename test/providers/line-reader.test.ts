import { describe, expect, it } from 'vitest';
import { BackendError } from '../../src/errors.ts';
import { LineReader } from '../../src/providers/ollama/line-reader.ts';
import { loadRecording } from '../support/recordings.ts';

const MIB = 2 ** 20;

/** Every line, read from these pieces. */
const readAll = (pieces: readonly Buffer[]): readonly unknown[] => {
  const lines = new LineReader();
  return [...pieces.flatMap((piece) => [...lines.read(piece)]), ...lines.end()];
};

const parsed = (text: string): readonly unknown[] =>
  text
    .trim()
    .split('\n')
    .map((line): unknown => JSON.parse(line));

const recorded = loadRecording('utf8').response.chunks.join('');

const expected = JSON.stringify(parsed(recorded));

const isWhole = (lines: readonly unknown[]): boolean => JSON.stringify(lines) === expected;

const inPieces = (bytes: Buffer, size: number): readonly Buffer[] =>
  Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
    bytes.subarray(index * size, (index + 1) * size),
  );

/** A line of so many bytes, without its newline. */
const lineOf = (bytes: number): Buffer => Buffer.from(`${JSON.stringify({ a: 'x'.repeat(bytes - 8) })}\n`);

describe('LineReader', () => {
  it('reads a recorded stream that is cut in two at any byte', () => {
    const bytes = Buffer.from(recorded);
    const cuts = Array.from({ length: bytes.length + 1 }, (_, cut) => cut);
    const broken = cuts.filter((cut) => !isWhole(readAll([bytes.subarray(0, cut), bytes.subarray(cut)])));
    expect(cuts.length).toBeGreaterThan(1_000);
    expect(broken).toStrictEqual([]);
  });

  it('reads a recorded stream that is cut into pieces of any size from one byte up', () => {
    const bytes = Buffer.from(recorded);
    const sizes = Array.from({ length: 300 }, (_, index) => index + 1);
    expect(sizes.filter((size) => !isWhole(readAll(inPieces(bytes, size))))).toStrictEqual([]);
  });

  it('reads CRLF, blank lines and a missing last newline', () => {
    const odd = recorded.trim().replaceAll('\n', '\r\n\r\n \n');
    expect(readAll([Buffer.from(`\n${odd}`)])).toStrictEqual(parsed(recorded));
  });

  it.each([
    ['a malformed line', '{"message":{"role":"assist'],
    ['a number', '42'],
    ['null', 'null'],
    ['a list', '[{"done":true}]'],
    ['a text', '"done"'],
  ])('refuses %s, after the lines before it', (_name, odd) => {
    const lines = new LineReader().read(Buffer.from(`{"a":1}\n${odd}\n{"b":2}\n`));
    expect(lines.next().value).toStrictEqual({ a: 1 });
    expect(() => lines.next()).toThrow(BackendError);
  });

  it('refuses bytes that are no UTF-8', () => {
    const bytes = Buffer.from('{"content":"@"}\n').map((byte) => (byte === 0x40 ? 0xff : byte));
    expect(() => readAll([Buffer.from(bytes)])).toThrow('UTF-8');
  });

  it('gives out the lines before one that is no UTF-8, or too long, also where they came at once', () => {
    for (const odd of [Buffer.from([0xff, 0x0a]), lineOf(MIB + 1)]) {
      const lines = new LineReader().read(Buffer.concat([Buffer.from('{"a":1}\n'), odd, Buffer.from('{"b":2}\n')]));
      expect(lines.next().value).toStrictEqual({ a: 1 });
      expect(() => lines.next()).toThrow(BackendError);
    }
  });

  it('reads lines of more than 1 MiB together that came at once', () => {
    expect(readAll([Buffer.concat([lineOf(MIB), lineOf(MIB), Buffer.from('{"a":1}')])])).toHaveLength(3);
  });

  it('refuses a last line that is cut off', () => {
    expect(() => readAll([Buffer.from('{"a":1}\n{"b":')])).toThrow(BackendError);
  });

  it('reads a line of 1 MiB and refuses a longer one', () => {
    expect(readAll([lineOf(MIB)])).toHaveLength(1);
    expect(() => readAll([lineOf(MIB + 1)])).toThrow('1 MiB');
    expect(() => readAll([lineOf(2 * MIB).subarray(0, MIB + 1)])).toThrow('1 MiB');
  });

  it('keeps no more than 8 MiB for a line of 2 MiB that comes byte by byte', () => {
    const lines = new LineReader();
    const byte = Buffer.from('x');
    const before = process.memoryUsage();
    let read = 0;
    expect(() => {
      for (; read < 2 * MIB; read++) void [...lines.read(byte)];
    }).toThrow('1 MiB');
    const { arrayBuffers } = process.memoryUsage();
    expect(read).toBe(MIB);
    expect(arrayBuffers - before.arrayBuffers).toBeLessThan(8 * MIB);
  });

  it('looks at no byte of a long line twice: ten times as many pieces take no hundred times as long', () => {
    const piece = Buffer.alloc(16, 'x');
    const timeOf = (pieces: number): number => {
      const lines = new LineReader();
      const begun = performance.now();
      for (let index = 0; index < pieces; index++) void [...lines.read(piece)];
      return performance.now() - begun;
    };
    timeOf(6_000); // the first run is slower: it is compiled on the way
    expect(timeOf(60_000)).toBeLessThan(40 * Math.max(timeOf(6_000), 0.5));
  });
});
