import { isReached, type CaseResult, type Column, type Machine, type Report, type Target } from './result.ts';

/** Digits that say something, with separators of thousands. */
export const formatFigure = (figure: number | undefined, digits = 0): string =>
  figure === undefined || Number.isNaN(figure)
    ? '–'
    : figure.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });

const toLine = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

const toTable = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [toLine(head), toLine(head.map(() => '---')), ...rows.map(toLine)].join('\n');

const formatMeasure = (figure: number, unit: string): string =>
  `${formatFigure(figure, Number.isInteger(figure) ? 0 : 2)} ${unit}`.trim();

const toTargetRow = (target: Target): readonly string[] => [
  target.about,
  `${target.bound} ${formatMeasure(target.wanted, target.unit)}`,
  formatMeasure(target.measured, target.unit),
  isReached(target) ? 'reached' : '**missed**',
];

const toTargets = (cases: readonly CaseResult[]): string =>
  toTable(
    ['Target', 'Wanted', 'Measured', ''],
    cases.flatMap(({ targets }) => targets.map(toTargetRow)),
  );

const toCase = ({ title, columns, rows }: CaseResult): string => {
  const format = (figures: Readonly<Record<string, number>>, { key, digits }: Column): string =>
    formatFigure(figures[key], digits);
  const table = toTable(
    ['', ...columns.map(({ label }) => label), 'What limits'],
    rows.map(({ subject, figures, limit }) => [subject, ...columns.map((column) => format(figures, column)), limit]),
  );
  return `## ${title}\n\n${table}`;
};

const toPlace = ({ cpu, cores, isPinned, node, redis, system }: Machine): string =>
  [
    `${cores} cores of ${cpu}, ${system}, Node ${node}, Redis ${redis} (AOF, appendfsync always).`,
    isPinned
      ? 'What is measured has core 0; the backend, Redis and the clients share core 1.'
      : 'Nothing is pinned to a core, since there is no taskset or no second core: compare with care.',
  ].join(' ');

/** The whole report as Markdown; `picture` is the file name of the picture beside it. */
export const toMarkdown = ({ date, isQuick, machine, cases, failed }: Report, picture: string): string =>
  [
    `# What the service costs`,
    `${date}. ${toPlace(machine)}${isQuick ? ' **The short form: its figures say little.**' : ''}`,
    'CPU is that of the process named in the row; what Redis uses for it has a column of its own. All subjects of a table were measured in turn, several times; figures are medians, ratios medians of the ratios of each round.',
    `![What the service costs](${picture})`,
    '## Targets',
    toTargets(cases),
    ...cases.map(toCase),
    ...(failed.length > 0 ? [`**Failed, so without figures: ${failed.join(', ')}.**`] : []),
    '',
  ].join('\n\n');
