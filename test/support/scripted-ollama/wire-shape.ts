import { isFields } from './records.ts';
import type { RawAnswer } from './raw-exchange.ts';

/** What two answers must share to be the same to a client, whatever their words, times and counts. */
export interface WireShape {
  readonly status: number;
  /** Without Date and Connection; the length's value left out. */
  readonly headers: readonly string[];
  /** Whether HTTP's own end of chunks came. */
  readonly isEnded: boolean;
  /** Whether every chunk is one whole line, or the one body has no newline at all. */
  readonly framing: 'lines' | 'whole' | 'other';
  /** The shape of each kind of line, in the order in which the kinds first follow one another. */
  readonly kinds: readonly string[];
}

type ShapedAnswer = Pick<RawAnswer, 'status' | 'headers' | 'chunks' | 'chunkedTerminator'>;

export const toWireShape = ({ status, headers, chunks, chunkedTerminator }: ShapedAnswer): WireShape => ({
  status,
  headers: headers
    .filter((line) => !/^(?:date|connection):/i.test(line))
    .map((line) => line.replace(/^(content-length):.*/i, '$1'))
    .toSorted(),
  isEnded: chunkedTerminator,
  framing: framingOf(chunks),
  kinds: chunks.map(kindOf).filter((kind, index, kinds) => kind !== kinds[index - 1]),
});

function framingOf(chunks: readonly string[]): WireShape['framing'] {
  if (chunks.every((chunk) => chunk.indexOf('\n') === chunk.length - 1 && chunk !== '')) return 'lines';
  return chunks.length === 1 && !chunks[0]?.includes('\n') ? 'whole' : 'other';
}

/** Keys in their order, each with the type of its value; texts that are not JSON as they are. */
function kindOf(chunk: string): string {
  try {
    return shapeOf(JSON.parse(chunk));
  } catch {
    return chunk;
  }
}

function shapeOf(value: unknown): string {
  if (Array.isArray(value)) return `[${[...new Set(value.map(shapeOf))].join(' ')}]`;
  if (isFields(value)) return `{${Object.entries(value).map(fieldShape).join(' ')}}`;
  return value === null ? 'null' : typeof value;
}

/** The fields that tell one kind of line from another, and what was refused, are shown with their value. */
function fieldShape([name, value]: readonly [string, unknown]): string {
  const isTelling = ['done', 'done_reason', 'role', 'error'].includes(name) || value === '';
  if (name === 'status') return `status:${String(value).replace(/[0-9a-f]{12}/, 'LAYER')}`;
  return `${name}:${isTelling ? JSON.stringify(value) : shapeOf(value)}`;
}
