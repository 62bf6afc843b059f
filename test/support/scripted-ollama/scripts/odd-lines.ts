import type { Script, Step, Turn } from '../script.ts';
import { type ScriptMakers, numberAt } from './maker.ts';

const MIB = 2 ** 20;
const WORDS = ['Grüße', ' aus', ' 東京', ' 😀'];

const content = (turn: Turn, text: string): string =>
  turn.line({ message: { role: 'assistant', content: text }, done: false });

/** The lines of a whole good stream, salted, with characters of several bytes. */
const linesOf = (turn: Turn): readonly string[] => [
  ...[...WORDS, ` [${turn.salt}]`].map((word) => content(turn, word)),
  turn.line({
    message: { role: 'assistant', content: '' },
    done: true,
    done_reason: 'stop',
    total_duration: 5,
    load_duration: 1,
    prompt_eval_count: turn.promptTokens,
    prompt_eval_duration: 1,
    eval_count: WORDS.length + 2,
    eval_duration: 3,
  }),
];

/** The good stream, its lines written in another way. */
const written = (write: (lines: readonly string[], turn: Turn) => readonly Step[]): Script => ({
  steps: (turn) => write(linesOf(turn), turn),
});

/** The good stream with something between its second line and its third. */
const withLine = (odd: (turn: Turn) => string | Uint8Array): Script =>
  written((lines, turn) => [
    { write: lines.slice(0, 2).join('') },
    { write: odd(turn) },
    { write: lines.slice(2).join('') },
  ]);

/** Pieces that the other side reads one by one: a pause after each keeps the system from joining them. */
const inPieces = (bytes: Buffer, size: number): readonly Step[] =>
  Array.from({ length: Math.ceil(bytes.length / size) }, (_, index): readonly Step[] => [
    { write: bytes.subarray(index * size, (index + 1) * size) },
    { waitMs: 1 },
  ]).flat();

/** Streams whose lines are cut, joined, ended or spelled otherwise than Ollama's. They always stream. */
export const oddLines: ScriptMakers = {
  /** Cut anywhere, also inside a character: `cut-lines:7` bytes a piece. */
  'cut-lines': (given) => written((lines) => inPieces(Buffer.from(lines.join('')), numberAt(given, 0, 7))),
  /** All lines in one chunk. */
  'lines-together': () => written((lines) => [{ write: lines.join('') }]),
  'blank-lines': () => written((lines) => lines.map((line) => ({ write: `\n${line}\n \n` }))),
  crlf: () => written((lines) => lines.map((line) => ({ write: line.replace('\n', '\r\n') }))),
  'no-last-newline': () => written((lines) => [{ write: lines.join('').trimEnd() }]),
  malformed: () => withLine(() => '{"model":"tiny-chat","message":{"role":"assist\n'),
  /** JSON, but no object. `non-object:null` */
  'non-object': ([value = '42']) => withLine(() => `${value}\n`),
  /** An object without a message. */
  'no-message': () => withLine((turn) => turn.line({ done: false })),
  /** A message of wrong types. */
  'wrong-types': () => withLine((turn) => turn.line({ message: { role: 'assistant', content: 7 }, done: 'no' })),
  'invalid-utf8': () =>
    withLine((turn) => Buffer.from(content(turn, '@@')).map((byte) => (byte === 0x40 ? 0xff : byte))),
  /** One good line of so many bytes: `big-line:5242880`; 2 MiB when not said. */
  'big-line': (given) => withLine((turn) => content(turn, 'x'.repeat(numberAt(given, 0, 2 * MIB)))),
  /** A line that never ends: no newline after so many bytes. */
  'unended-line': (given) =>
    written((lines) => [
      { write: lines[0] ?? '' },
      { write: `{"message":{"role":"assistant","content":"${'x'.repeat(numberAt(given, 0, 9 * MIB))}` },
      { hang: true },
    ]),
};
