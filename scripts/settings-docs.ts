import { wrapText } from '../src/command-line.ts';
import { SETTING_NAMES, describeSetting } from '../src/config-settings.ts';
import type { SettingName } from '../src/config-settings.ts';

/** `.env.example` and the README's table, both made from the table of settings in `src/config-settings.ts`. */

const LINE_LENGTH = 110;

/** The text of `.env.example`: everything commented out, so that a copy changes nothing. */
export const toEnvExample = (): string =>
  [
    '# The settings of the service. Copy this file to .env and take away the "# " in front of what you change:',
    '# what follows it is the default. Variables of the environment win over .env.',
    '# Made by "npm run docs"; change src/config-settings.ts instead.',
    ...groups().flatMap(([group, names]) => ['', `# ---- ${group} ----`, ...names.flatMap(toEnvLines)]),
    '',
  ].join('\n');

/** The README's table, in Markdown: a heading, a line and one row for each setting. */
export const toSettingsTable = (): string =>
  ['| Setting | Default | Unit | Meaning |', '| --- | --- | --- | --- |', ...SETTING_NAMES.map(toRow)].join('\n');

const groups = (): readonly (readonly [string, readonly SettingName[]])[] => [
  ...Map.groupBy(SETTING_NAMES, (name) => describeSetting(name).group),
];

const toEnvLines = (name: SettingName): readonly string[] => {
  const { about, unit, default: defaultText, example } = describeSetting(name);
  const shown = defaultText || undefined; // an empty default is no value to show
  const examples =
    example === undefined ? [] : [shown === undefined ? 'Not set; for example:' : `For example: ${example}`];
  return [
    '',
    ...[...wrapText(unit === undefined ? about : `${about} (${unit})`, LINE_LENGTH), ...examples].map(
      (line) => `# ${line}`,
    ),
    `# ${name}=${quoteValue(shown ?? example ?? '')}`,
  ];
};

const toRow = (name: SettingName): string => {
  const { about, unit = '', default: defaultText, example } = describeSetting(name);
  const meaning = example === undefined ? about : `${about} Example: ${code(example)}`;
  const cells = [code(name), defaultText ? code(defaultText) : 'not set', unit, meaning];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
};

const code = (text: string): string => `\`${text}\``;

/** As `node:util`'s `parseEnv` reads it back: white space and `#` need quotes. */
const quoteValue = (text: string): string => (/[\s#]/.test(text) ? `"${text}"` : text);
