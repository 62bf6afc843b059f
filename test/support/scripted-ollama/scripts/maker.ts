import type { Script } from '../script.ts';

/** Makes a script from the arguments behind its name, which a marker separates by colons. */
export type ScriptMaker = (given: readonly string[]) => Script;

export type ScriptMakers = Readonly<Record<string, ScriptMaker>>;

/** A number given at this place, or the default when none was. */
export const numberAt = (given: readonly string[], index: number, otherwise: number): number =>
  given[index] ? Number(given[index]) : otherwise;
