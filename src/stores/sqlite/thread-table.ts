import type { DatabaseSync } from 'node:sqlite';
import type { Cut, PositionRange, Summary } from '../chat-store.ts';
import { prepareQuery } from './query.ts';

export interface ThreadRow {
  readonly messageCount: number;
  readonly cutPosition: number;
  /** JSON of `PositionRange`s. */
  readonly replaced: string;
  /** JSON of `Summary`s. */
  readonly summaries: string;
}

/** What the thread of a conversation is from now on. */
export interface NewThread {
  readonly conversation: number;
  /** The first position whose messages are not sent any more. */
  readonly from: number;
  /** The last one. Below `from`, nothing is replaced. */
  readonly last: number;
  readonly cut: Cut;
}

/** Of each conversation: what was replaced in it, where its view is cut, and its summaries. */
export class ThreadTable {
  readonly #find;
  readonly #replace;
  readonly #keepSummaries;

  constructor(database: DatabaseSync) {
    this.#find = prepareQuery<ThreadRow>(
      database,
      `SELECT message_count AS messageCount, cut_position AS cutPosition, replaced, summaries
       FROM conversation WHERE id = :conversation`,
    );
    this.#replace = prepareQuery(
      database,
      `UPDATE conversation SET cut_position = :position, cut_turns = :droppedTurns, replaced = :replaced,
         summaries = :summaries
       WHERE id = :conversation`,
    );
    this.#keepSummaries = prepareQuery(
      database,
      'UPDATE conversation SET summaries = :summaries WHERE id = :conversation',
    );
  }

  /** Notes what was replaced, moves the cut, back too, and drops the summaries of what was replaced. */
  replace({ conversation, from, last, cut }: NewThread): void {
    const row = this.#find.get({ conversation });
    if (!row) throw new Error('A reply that runs has no conversation.');
    const replaced = withRange(toReplaced(row), { first: from, last });
    const summaries = toSummaries(row).filter(({ position }) => position < from);
    this.#replace.run({
      conversation,
      position: cut.position,
      droppedTurns: cut.droppedTurns,
      replaced: JSON.stringify(replaced),
      summaries: JSON.stringify(summaries),
    });
  }

  keepSummary(conversation: number, summary: Summary, row: ThreadRow): void {
    const summaries = withSummary(toSummaries(row), summary, row.cutPosition);
    this.#keepSummaries.run({ conversation, summaries: JSON.stringify(summaries) });
  }
}

export const toReplaced = (row: Pick<ThreadRow, 'replaced'>): readonly PositionRange[] => JSON.parse(row.replaced);

export const toSummaries = (row: Pick<ThreadRow, 'summaries'>): readonly Summary[] => JSON.parse(row.summaries);

/** Takes in a range that ends behind all others; what it touches becomes a part of it. */
const withRange = (ranges: readonly PositionRange[], { first, last }: PositionRange): readonly PositionRange[] => {
  const before = ranges.filter((range) => range.last < first - 1);
  const from = Math.min(first, ranges[before.length]?.first ?? first);
  return from <= last ? [...before, { first: from, last }] : before;
};

/** With a summary more: the newest at or before the cut is kept, and the newest behind it. */
const withSummary = (summaries: readonly Summary[], summary: Summary, cut: number): readonly Summary[] => {
  const others = summaries.filter(({ position }) => position !== summary.position);
  const all = [...others, summary].toSorted((one, other) => one.position - other.position);
  const inForce = all.findLast(({ position }) => position <= cut);
  const next = all.findLast(({ position }) => position > cut);
  return [inForce, next].flatMap((kept) => kept ?? []);
};
