import { parseArgs } from 'node:util';
import { findNearest } from './config-checks.ts';
import { SETTING_NAMES, describeSetting, type SettingName } from './config-settings.ts';
import type { Variables } from './config.ts';

/** The command line: each setting is a flag, `PORT` is `--port`. All of it is made from the table of settings. */

/** What was asked for: a text to print, or a start with these settings before all others. */
export type Command =
  | { readonly type: 'help' }
  | { readonly type: 'version' }
  | { readonly type: 'start'; readonly settings: Variables };

/** The command line cannot be used. `message` is one line for each mistake, and shows no value. */
export class CommandLineError extends Error {
  override readonly name = 'CommandLineError';
}

const LINE_LENGTH = 100;
const INDENT = '      ';

const toFlag = (name: SettingName): string => name.toLowerCase().replaceAll('_', '-');

const SETTING_OF_FLAG: ReadonlyMap<string, SettingName> = new Map(SETTING_NAMES.map((name) => [toFlag(name), name]));
const FLAGS = ['help', 'version', ...SETTING_OF_FLAG.keys()];
const OPTIONS = Object.fromEntries([
  ...FLAGS.map((flag) => [flag, { type: SETTING_OF_FLAG.has(flag) ? 'string' : 'boolean' }] as const),
  ['help', { type: 'boolean', short: 'h' }] as const,
  ['version', { type: 'boolean', short: 'v' }] as const,
]);

/**
 * Reads the words behind the program's name. Values are taken as they are: `parseConfig` judges them. A flag that is
 * given twice counts as it was given last.
 * @throws CommandLineError with all mistakes at once
 */
export const parseCommandLine = (words: readonly string[]): Command => {
  const { tokens } = parseArgs({ args: [...words], options: OPTIONS, strict: false, tokens: true });
  const problems = tokens.flatMap((token, index) => findProblem(token, tokens[index - 1]) ?? []);
  if (problems.length > 0) throw new CommandLineError([...new Set(problems), SEE_HELP].join('\n'));
  const options = tokens.filter((token) => token.kind === 'option');
  if (options.some(({ name }) => name === 'help')) return { type: 'help' };
  if (options.some(({ name }) => name === 'version')) return { type: 'version' };
  const settings = options.map(({ name, value }) => [SETTING_OF_FLAG.get(name), value] as const);
  return { type: 'start', settings: Object.fromEntries(settings) };
};

type Token = NonNullable<ReturnType<typeof parseArgs>['tokens']>[number];

const SEE_HELP = 'All flags: --help';

const isUnknown = (token: Token | undefined): boolean => token?.kind === 'option' && !FLAGS.includes(token.name);

const findProblem = (token: Token, before: Token | undefined): string | undefined => {
  if (token.kind === 'positional')
    // What stands behind a flag that there is not was meant as its value.
    return isUnknown(before)
      ? undefined
      : 'There is a word that belongs to no flag. A setting is written as a flag and its value: --port 8080';
  if (token.kind === 'option-terminator') return undefined;
  const { name, rawName, value, inlineValue } = token;
  if (isUnknown(token)) return `${rawName} is not a flag${suggestion(name)}`;
  if (!SETTING_OF_FLAG.has(name)) return value === undefined ? undefined : `${rawName} takes no value.`;
  // Whoever forgets a value has the next flag in its place.
  const isMissing = value === undefined || (!inlineValue && value.startsWith('--'));
  return isMissing ? `${rawName} needs a value: ${rawName} ${toExample(name)}` : undefined;
};

const suggestion = (name: string): string => {
  const nearest = findNearest(name, FLAGS);
  return nearest === undefined ? '.' : `; did you mean --${nearest}?`;
};

const toExample = (flag: string): string => {
  const setting = SETTING_OF_FLAG.get(flag);
  const { default: defaultText, example } = setting === undefined ? {} : describeSetting(setting);
  const text = example ?? (defaultText || '…');
  return /[\s<]/.test(text) ? `'${text}'` : text;
};

/** What `--help` prints. */
export const toHelp = (version: string): string =>
  [
    `llm-chat-service ${version}: a chat backend for Ollama whose replies belong to the server.`,
    '',
    'Usage: llm-chat-service [--flag value …]',
    '',
    ...wrapText(
      'Each flag is a setting: --port 8080 is PORT=8080. Flags win over the environment, and the environment over the ' +
        'file .env in the present folder. Keys and passwords belong into one of those two: a command line can be seen by ' +
        'everybody on this machine.',
      LINE_LENGTH,
    ),
    '',
    '  -h, --help       prints this',
    '  -v, --version    prints the version',
    ...[...Map.groupBy(SETTING_NAMES, (name) => describeSetting(name).group)].flatMap(([group, names]) => [
      '',
      `${group}:`,
      ...names.flatMap(toHelpLines),
    ]),
    '',
  ].join('\n');

const toHelpLines = (name: SettingName): readonly string[] => {
  const { about, unit, default: defaultText } = describeSetting(name);
  const shown = defaultText ? `default: ${defaultText}` : 'not set by default';
  const heading = `  --${toFlag(name)} <${unit ?? 'value'}>  (${shown})`;
  return [heading, ...wrapText(about, LINE_LENGTH - INDENT.length).map((line) => INDENT + line)];
};

/** The text in lines of at most `length` characters; a longer word has a line for itself. */
export const wrapText = (text: string, length: number): readonly string[] =>
  text.split(' ').reduce<string[]>((lines, word) => {
    const last = lines.at(-1);
    if (last === undefined || last.length + word.length >= length) return [...lines, word];
    return [...lines.slice(0, -1), `${last} ${word}`];
  }, []);
