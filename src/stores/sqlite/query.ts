import type { DatabaseSync, SQLInputValue } from 'node:sqlite';

type Values = Record<string, SQLInputValue>;

/** A prepared statement whose rows have the shape `Row`; values are bound by their names. */
export interface Query<Row> {
  get(values?: Values): Row | undefined;
  all(values?: Values): Row[];
  /** The number of rows that were changed. */
  run(values?: Values): number;
}

/** Prepares `sql` once, for the life of the database. */
export const prepareQuery = <Row extends object = never>(database: DatabaseSync, sql: string): Query<Row> => {
  const statement = database.prepare(sql);
  return {
    // The tables are STRICT and each statement names its columns beside `Row`: that is what comes back.
    get: (values = {}) => statement.get(values) as Row | undefined,
    all: (values = {}) => statement.all(values) as Row[],
    run: (values = {}) => Number(statement.run(values).changes),
  };
};
