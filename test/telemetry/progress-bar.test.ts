import { describe, expect, it } from 'vitest';
import { createLog } from '../../src/telemetry/log.ts';
import { ProgressBar, type DownloadFigures } from '../../src/telemetry/progress-bar.ts';

const CLEAR = '\r\u001B[2K';

/** A terminal as people see it: the lines that stay, and the one that the cursor is in. */
class Screen {
  readonly columns: number;
  readonly written: string[] = [];
  readonly lines: string[] = [];
  line = '';

  constructor(columns = 80) {
    this.columns = columns;
  }

  write(text: string): void {
    this.written.push(text);
    const pieces = text.split('\n');
    pieces.forEach((piece, index) => {
      const clear = piece.lastIndexOf(CLEAR);
      this.line = clear === -1 ? this.line + piece : piece.slice(clear + CLEAR.length);
      if (index === pieces.length - 1) return;
      this.lines.push(this.line);
      this.line = '';
    });
  }
}

const GB = 1_000_000_000;

const open = (columns?: number) => {
  const screen = new Screen(columns);
  const bar = new ProgressBar(screen);
  const show = (figures: Partial<DownloadFigures>): void =>
    bar.show({ model: 'llama3', isRunning: true, elapsedMs: 0, ...figures });
  return { screen, bar, show };
};

describe('the progress bar', () => {
  it('says how much of the model is there, and how long the rest takes at this rate', () => {
    const { screen, show } = open();
    show({});
    expect(screen.line).toBe('pulling llama3');
    show({ elapsedMs: 1000, completedBytes: 0, totalBytes: 4.7 * GB });
    expect(screen.line).toBe('pulling llama3  0 %  0 B of 4.7 GB');
    show({ elapsedMs: 23_000, completedBytes: 2 * GB, totalBytes: 4.7 * GB });
    expect(screen.line).toBe('pulling llama3  42 %  2.0 GB of 4.7 GB  00:30 left');
    expect(screen.lines).toEqual([]);
  });

  it('counts only what came since it began: a download may go on where another one ended', () => {
    const { screen, show } = open();
    show({ elapsedMs: 0, completedBytes: 2 * GB, totalBytes: 4 * GB });
    expect(screen.line).not.toContain('left');
    show({ elapsedMs: 10_000, completedBytes: 2.5 * GB, totalBytes: 4 * GB });
    expect(screen.line).toContain('00:30 left');
  });

  it('tells hours where there are any, and small sizes in small units', () => {
    const { screen, show } = open();
    show({ elapsedMs: 0, completedBytes: 0, totalBytes: 40 * GB });
    show({ elapsedMs: 4000, completedBytes: 12_345_678, totalBytes: 40 * GB });
    expect(screen.line).toMatch(/^pulling llama3 {2}0 % {2}12\.3 MB of 40\.0 GB {2}03:35:5\d left$/);
    show({ elapsedMs: 4000, completedBytes: 878, totalBytes: 1_207 });
    expect(screen.line).toContain('878 B of 1 KB');
  });

  it('is drawn again below a line of the log, and is not mixed with it', () => {
    const { screen, bar, show } = open();
    const log = createLog({ level: 'info', pretty: true, destination: bar });
    log.info('before');
    show({ completedBytes: 1, totalBytes: 2 });
    log.info('between');
    log.info('after');
    expect(screen.line).toBe('pulling llama3  50 %  1 B of 2 B');
    expect(screen.lines).toEqual([
      expect.stringMatching(/INFO: before$/),
      expect.stringMatching(/INFO: between$/),
      expect.stringMatching(/INFO: after$/),
    ]);
  });

  it('goes when the download ends, and leaves nothing behind', () => {
    const { screen, bar, show } = open();
    show({ completedBytes: 1, totalBytes: 2 });
    show({ completedBytes: 2, totalBytes: 2, isRunning: false });
    expect(screen.line).toBe('');
    bar.write('a line\n');
    expect(screen.lines).toEqual(['a line']);
    expect(screen.written.at(-1)).toBe('a line\n');
  });

  it('is never longer than a line of the terminal, which could not be drawn over', () => {
    const { screen, show } = open(20);
    show({ completedBytes: 1, totalBytes: 2 });
    expect(screen.line).toBe('pulling llama3  50 ');
  });

  it('is whole on a terminal that does not know how wide it is', () => {
    const { screen, show } = open(0);
    show({ completedBytes: 1, totalBytes: 2 });
    expect(screen.line).toBe('pulling llama3  50 %  1 B of 2 B');
  });

  it('writes nothing while it would look the same', () => {
    const { screen, show } = open();
    for (const elapsedMs of [1, 2, 3]) show({ elapsedMs, completedBytes: 1, totalBytes: 2 });
    expect(screen.written).toHaveLength(1);
  });

  it('shows one of several downloads, and the next when that has ended', () => {
    const { screen, show } = open();
    show({ completedBytes: 1, totalBytes: 2 });
    show({ model: 'qwen3', completedBytes: 1, totalBytes: 4 });
    expect(screen.line).toContain('llama3');
    show({ isRunning: false });
    expect(screen.line).toBe('pulling qwen3  25 %  1 B of 4 B');
  });
});
