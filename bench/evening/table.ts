import type { Figures } from './evening.ts';

/** Where the table stands in a page. */
const PLACE = /(<!-- evening -->\n).*(<!-- \/evening -->)/s;

const COLUMNS: readonly (readonly [string, (figures: Figures) => string])[] = [
  ['', ({ way }) => way],
  ['replies', ({ replies }) => String(replies)],
  ['wait, median', ({ medianMs }) => toSeconds(medianMs)],
  ['p95', ({ p95Ms }) => toSeconds(p95Ms)],
  ['longest', ({ longestMs }) => toSeconds(longestMs)],
  ['best caller’s mean', ({ bestCallerMs }) => toSeconds(bestCallerMs)],
  ['worst caller’s mean', ({ worstCallerMs }) => toSeconds(worstCallerMs)],
  ['loads', ({ loads }) => String(loads)],
  ['evictions', ({ evictions }) => String(evictions)],
  [
    'prompt tokens read anew',
    ({ tokensRead, shareRead }) => `${Math.round(tokensRead / 1000)} k (${Math.round(shareRead * 100)} %)`,
  ],
];

/** In Markdown. */
export const toTable = (evenings: readonly Figures[]): string =>
  [
    COLUMNS.map(([title]) => title),
    COLUMNS.map((_column, index) => (index === 0 ? '---' : '--:')),
    ...evenings.map((figures) => COLUMNS.map(([, toCell]) => toCell(figures))),
  ]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n');

/** The page with this table in its place. */
export const withTable = (page: string, table: string): string => {
  if (!PLACE.test(page)) throw new Error('The page needs the lines <!-- evening --> and <!-- /evening -->.');
  return page.replace(PLACE, (_all, begin, end) => `${begin}\n${table}\n\n${end}`);
};

const toSeconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
