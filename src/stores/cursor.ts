import { InvalidRequestError } from '../errors.ts';

/** The last conversation of a page: the next page begins after it. */
export interface Cursor {
  readonly updatedAt: number;
  /** Tells apart what was used in the same millisecond. */
  readonly id: string;
}

const SHAPE = /^(\d{1,16})\.([\w-]{1,64})$/;

export const encodeCursor = ({ updatedAt, id }: Cursor): string =>
  Buffer.from(`${updatedAt}.${id}`).toString('base64url');

/** Throws `InvalidRequestError` for what `encodeCursor` has not made. */
export const parseCursor = (text: string): Cursor => {
  const [, updatedAt, id] = SHAPE.exec(Buffer.from(text, 'base64url').toString()) ?? [];
  const cursor = { updatedAt: Number(updatedAt), id: id ?? '' };
  if (id !== undefined && encodeCursor(cursor) === text) return cursor;
  throw new InvalidRequestError('The cursor is not one of this list. Take next_cursor from the page before.');
};
