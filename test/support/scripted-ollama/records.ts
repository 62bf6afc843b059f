/** What JSON calls an object. */
export type Fields = Readonly<Record<string, unknown>>;

export const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The fields of an object; none of anything else. */
export const fieldsOf = (value: unknown): Fields => (isFields(value) ? value : {});

/** A field that must be text to count. */
export function textOf(fields: Fields, ...names: readonly string[]): string {
  const value = names.map((name) => fields[name]).find((candidate) => typeof candidate === 'string');
  return typeof value === 'string' ? value : '';
}
