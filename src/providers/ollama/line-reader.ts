import { isUtf8 } from 'node:buffer';
import { BackendError } from '../../errors.ts';
import { parsePlainLine } from './plain-line.ts';

/** One line of an answer: a JSON object whose fields nobody has checked yet. */
export type Line = Readonly<Record<string, unknown>>;

const LINE_FEED = 0x0a;
const MAX_LINE_BYTES = 1_048_576;
const NOTHING = Buffer.alloc(0);

/**
 * Newline-delimited JSON from bytes that may be cut anywhere: it splits on the byte `\n`, which no character of
 * UTF-8 contains, so that a line is decoded only when it is whole. Blank lines, CRLF and a missing last newline
 * are fine; everything else that is no JSON object in UTF-8 is a `BackendError`, never skipped. At most one line
 * of 1 MiB is kept, and no byte is looked at twice.
 */
export class LineReader {
  /** Room for the line that is not whole yet; it grows by doubling, so a byte is copied twice at most. */
  #room = Buffer.alloc(0);
  #pendingBytes = 0;

  /**
   * The lines that end in these bytes, one by one, so that those before a broken one are not lost.
   * @throws BackendError
   */
  *read(bytes: Buffer): Generator<Line, void> {
    let start = 0;
    if (this.#pendingBytes > 0) {
      const end = bytes.indexOf(LINE_FEED);
      if (end === -1) return this.#keep(bytes);
      yield* parseLine(this.#join(bytes.subarray(0, end)));
      start = end + 1;
    }
    const end = bytes.lastIndexOf(LINE_FEED) + 1;
    if (start < end) yield* this.#parse(bytes.subarray(start, end));
    if (end < bytes.length) this.#keep(bytes.subarray(end));
  }

  /**
   * The last line, when the bytes ended without a newline.
   * @throws BackendError
   */
  *end(): Generator<Line, void> {
    yield* parseLine(this.#join(NOTHING));
  }

  /** Whole lines: checked and decoded at once where nothing can be wrong with one of them alone. */
  *#parse(bytes: Buffer): Generator<Line, void> {
    if (bytes.length <= MAX_LINE_BYTES && isUtf8(bytes)) return yield* parseText(bytes.toString('utf8'));
    for (let start = 0; start < bytes.length;) {
      const end = bytes.indexOf(LINE_FEED, start);
      yield* parseLine(this.#join(bytes.subarray(start, end)));
      start = end + 1;
    }
  }

  #join(piece: Buffer): Buffer {
    if (this.#pendingBytes === 0 && piece.length <= MAX_LINE_BYTES) return piece;
    this.#keep(piece);
    const line = this.#room.subarray(0, this.#pendingBytes);
    this.#pendingBytes = 0;
    return line;
  }

  #keep(piece: Buffer): void {
    const bytes = this.#pendingBytes + piece.length;
    if (bytes > MAX_LINE_BYTES) {
      throw new BackendError('Ollama sent a line of more than 1 MiB. Is OLLAMA_BASE_URL really an Ollama?');
    }
    if (bytes > this.#room.length) this.#grow(bytes);
    piece.copy(this.#room, this.#pendingBytes);
    this.#pendingBytes = bytes;
  }

  #grow(bytes: number): void {
    const room = Buffer.allocUnsafe(Math.max(bytes, 2 * this.#room.length));
    this.#room.copy(room, 0, 0, this.#pendingBytes);
    this.#room = room;
  }
}

const parseLine = (bytes: Buffer): Iterable<Line> => {
  if (!isUtf8(bytes)) throw new BackendError('Ollama sent bytes that are no UTF-8. Ask again; its log may say more.');
  return parseText(bytes.toString('utf8'));
};

function* parseText(text: string): Generator<Line, void> {
  for (const line of text.split('\n')) {
    const value = parsePlainLine(line) ?? parseObject(line);
    if (value) yield value;
  }
}

/** Undefined for a blank line. */
const parseObject = (text: string): Line | undefined => {
  if (text.trim() === '') return undefined;
  const value = parseJson(text);
  if (!isObject(value)) throw malformed();
  return value;
};

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw malformed(error);
  }
};

const malformed = (cause?: unknown): BackendError =>
  new BackendError('Ollama sent a line that is no JSON object. Is OLLAMA_BASE_URL really an Ollama?', { cause });

/** Whether a value of somebody else's JSON has fields that can be asked for. */
export const isObject = (value: unknown): value is Line =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
