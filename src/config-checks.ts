import { MAKE_KEY_COMMAND } from './auth/api-key.ts';
import { isLoopback } from './auth/authority.ts';
import { SETTING_NAMES, isSettingName } from './config-settings.ts';
import type { Environment } from './config-settings.ts';

/** What no single setting can tell: names that are wrong, and settings that do not fit together. */

/** Named in the design, without any effect yet: refused, so that nobody relies on them. */
const LATER_SETTINGS: readonly string[] = ['LLM_MAX_TOOL_ROUNDS'];

/** One line for each name that is set but does nothing, or is nobody's. */
export const findNameProblems = (names: readonly string[]): readonly string[] =>
  names.flatMap((name) => {
    if (LATER_SETTINGS.includes(name) || name.startsWith('JWT_'))
      return [`${name} is not supported by this version: it would have no effect; remove it.`];
    const isUnknown = name.startsWith('LLM_') && !isSettingName(name);
    return isUnknown ? [`${name} is not a setting${suggestion(name)}`] : [];
  });

const suggestion = (name: string): string => {
  // How it begins says nothing: all names of ours that are looked at here begin so.
  const nearest = findNearest(name, [...SETTING_NAMES, ...LATER_SETTINGS], 'LLM_'.length);
  if (nearest === undefined) return '; .env.example lists them all.';
  const later = LATER_SETTINGS.includes(nearest) ? ' (which is not supported by this version)' : '';
  return `; did you mean ${nearest}${later}?`;
};

/**
 * Which of the known names was probably meant; undefined where naming any would be a guess, since more letters are wrong
 * than right behind the first `shared`, with which all names begin.
 */
export const findNearest = (name: string, known: readonly string[], shared = 0): string | undefined => {
  const [nearest] = known
    .map((candidate) => ({ candidate, distance: editDistance(name, candidate) }))
    .toSorted((one, other) => one.distance - other.distance);
  return nearest && nearest.distance <= (name.length - shared) / 2 ? nearest.candidate : undefined;
};

/** Letters to insert, delete or replace on the way from one text to the other (Levenshtein). */
const editDistance = (from: string, to: string): number => {
  let previous = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const replaced = previous[column - 1]! + (from[row - 1] === to[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, previous[column]! + 1, current[column - 1]! + 1));
    }
    previous = current;
  }
  return previous[to.length]!;
};

/** One line for each pair that does not fit. What is missing was wrong by itself and is not judged again. */
export const findConflicts = (values: Partial<Environment>): readonly string[] =>
  [accessConflict, anonymousConflict].flatMap((check) => check(values) ?? []);

type Check = (values: Partial<Environment>) => string | undefined;

const accessConflict: Check = ({ HOST, API_KEYS, ALLOW_ANONYMOUS }) => {
  if (HOST === undefined || isLoopback(HOST) || API_KEYS?.length !== 0 || ALLOW_ANONYMOUS !== false) return undefined;
  return (
    `HOST=${HOST} is open to other machines, but API_KEYS is not set: set API_KEYS to a key, which this command makes: ${MAKE_KEY_COMMAND} ` +
    '(or set ALLOW_ANONYMOUS=true if whoever reaches the service may use it, or HOST=127.0.0.1).'
  );
};

const anonymousConflict: Check = ({ API_KEYS, ALLOW_ANONYMOUS }) =>
  ALLOW_ANONYMOUS && API_KEYS?.length
    ? 'ALLOW_ANONYMOUS=true contradicts API_KEYS, which make every caller send a key: remove one of them.'
    : undefined;
