import { formatFigure } from './markdown.ts';
import { isReached, type CaseResult, type Report, type Row, type Target } from './result.ts';

const WIDTH = 760;
const NAME_WIDTH = 190;
const BAR_WIDTH = 440;
const LINE = 22;
const GAP = 20;
/** A missed target's bar leaves the picture nowhere. */
const MOST = 2;

/** Colours that can be read on a light page and on a dark one. */
const STYLE = `
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600 }
  .bar { fill: #8c959f } .service { fill: #2f81f7 } .reached { fill: #2da44e } .missed { fill: #d1640a }
  .mark { stroke: #1f2328; stroke-width: 1.5 }
  @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .mark { stroke: #e6edf3 } }
`;

const escape = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

interface Block {
  readonly height: number;
  readonly draw: (top: number) => string;
}

const text = (x: number, y: number, content: string, kind = ''): string =>
  `<text x="${x}" y="${y}" class="${kind}">${escape(content)}</text>`;

const bar = (top: number, share: number, kind: string): string =>
  `<rect x="${NAME_WIDTH}" y="${top + 4}" width="${Math.max(1, share * BAR_WIDTH).toFixed(1)}" height="${LINE - 8}" class="${kind}"/>`;

/** The first column of a case, a bar for each row. */
const toBlock = ({ title, columns, rows }: CaseResult): Block => {
  const column = columns[0];
  const toFigure = (row: Row): number => (column && row.figures[column.key]) || 0;
  const most = Math.max(...rows.map(toFigure), Number.MIN_VALUE);
  return {
    height: (rows.length + 1) * LINE + GAP,
    draw: (top) =>
      [
        text(0, top + 15, `${title}: ${column?.label ?? ''}`, 'title'),
        ...rows.map((row, index) => {
          const y = top + (index + 1) * LINE;
          const share = Math.max(0, toFigure(row)) / most;
          const kind = /^(?:service|two),/.test(row.subject) ? 'service' : 'bar';
          const figure = text(NAME_WIDTH + share * BAR_WIDTH + 8, y + 15, formatFigure(toFigure(row), column?.digits));
          return `${text(0, y + 15, row.subject)}${bar(y, share, kind)}${figure}`;
        }),
      ].join('\n'),
  };
};

/** How much of what is allowed was used: the mark is the target. */
const toTargetBlock = (targets: readonly Target[]): Block => ({
  height: (2 * targets.length + 1) * LINE + GAP,
  draw: (top) =>
    [
      text(0, top + 15, 'Targets: the mark is what is wanted', 'title'),
      ...targets.map((target, index) => {
        const y = top + (2 * index + 1) * LINE;
        const share = Math.min(MOST, target.measured / target.wanted) / MOST || 0;
        const mark = NAME_WIDTH + BAR_WIDTH / MOST;
        const figures = `${formatFigure(target.measured, 2)} (${target.bound} ${formatFigure(target.wanted, 2)} ${target.unit})`;
        return [
          text(0, y + 15, target.about),
          text(0, y + LINE + 13, figures),
          bar(y + LINE - 3, share, isReached(target) ? 'reached' : 'missed'),
          `<line x1="${mark}" x2="${mark}" y1="${y + LINE}" y2="${y + 2 * LINE - 4}" class="mark"/>`,
        ].join('');
      }),
    ].join('\n'),
});

/** The report as an SVG that needs no other file. */
export const toPicture = ({ cases }: Report): string => {
  const targets = cases.flatMap((each) => each.targets);
  const blocks = [...(targets.length > 0 ? [toTargetBlock(targets)] : []), ...cases.map(toBlock)];
  let top = GAP;
  const drawn = blocks.map(({ height, draw }) => {
    const content = draw(top);
    top += height;
    return content;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-${GAP} 0 ${WIDTH + 2 * GAP} ${top}" role="img">`,
    `<style>${STYLE}</style>`,
    ...drawn,
    '</svg>\n',
  ].join('\n');
};
