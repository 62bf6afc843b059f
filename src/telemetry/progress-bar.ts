/** How far a download is. */
export interface DownloadFigures {
  readonly model: string;
  /** Whether it goes on. */
  readonly isRunning: boolean;
  /** Milliseconds since it began. */
  readonly elapsedMs: number;
  readonly completedBytes?: number;
  readonly totalBytes?: number;
}

/** What is drawn on: a terminal, `process.stdout`. */
export interface Terminal {
  /** Characters in a line; absent or 0 where it does not say. */
  readonly columns?: number;
  write(text: string): unknown;
}

interface Download {
  readonly figures: DownloadFigures;
  /** Where it was when its bytes were first told: a download that goes on does not begin at zero. */
  readonly start: DownloadFigures;
}

const CLEAR = '\r\u001B[2K';
const USUAL_COLUMNS = 80;
/** A rate is not worth telling before. */
const MEASURED_MS = 2_000;

/**
 * One line at the bottom of a terminal, drawn over itself. What else is written goes through `write`, which takes
 * the line away before and draws it again after.
 */
export class ProgressBar {
  readonly #terminal: Terminal;
  readonly #downloads = new Map<string, Download>();
  #drawn = '';

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  show(figures: DownloadFigures): void {
    if (figures.isRunning) this.#downloads.set(figures.model, this.#follow(figures));
    else this.#downloads.delete(figures.model);
    const line = this.#toLine();
    if (line === this.#drawn) return;
    this.#drawn = line;
    this.#terminal.write(CLEAR + line);
  }

  /** Writes whole lines above the bar. */
  write(text: string): void {
    this.#terminal.write(this.#drawn === '' ? text : CLEAR + text + this.#drawn);
  }

  #follow(figures: DownloadFigures): Download {
    const start = this.#downloads.get(figures.model)?.start;
    return { figures, start: start?.completedBytes === undefined ? figures : start };
  }

  /** Of several downloads the first has the line. A line that were too long would not be drawn over itself. */
  #toLine(): string {
    const [first] = this.#downloads.values();
    return first ? toText(first).slice(0, (this.#terminal.columns || USUAL_COLUMNS) - 1) : '';
  }
}

/** `pulling llama3  42 %  1.9 GB of 4.7 GB  00:31 left` */
const toText = (download: Download): string => {
  const { model, completedBytes = 0, totalBytes = 0 } = download.figures;
  if (totalBytes === 0) return `pulling ${model}`;
  const percent = Math.floor((completedBytes / totalBytes) * 100);
  const left = toTimeLeft(download);
  const amount = `${toSize(completedBytes)} of ${toSize(totalBytes)}`;
  return [`pulling ${model}`, `${percent} %`, amount, ...(left === undefined ? [] : [`${left} left`])].join('  ');
};

/** By the rate since the first bytes were told; undefined while there is none. */
const toTimeLeft = ({ figures, start }: Download): string | undefined => {
  const { completedBytes = 0, totalBytes = 0, elapsedMs } = figures;
  const spentMs = elapsedMs - start.elapsedMs;
  const gained = completedBytes - (start.completedBytes ?? 0);
  if (spentMs < MEASURED_MS || gained <= 0) return undefined;
  return toClockTime(((totalBytes - completedBytes) / gained) * spentMs);
};

const toClockTime = (ms: number): string => {
  const seconds = Math.ceil(ms / 1000);
  const parts = [Math.floor(seconds / 60) % 60, seconds % 60];
  const hours = Math.floor(seconds / 3600);
  return (hours > 0 ? [hours, ...parts] : parts).map((part) => String(part).padStart(2, '0')).join(':');
};

const UNITS = ['B', 'KB', 'MB', 'GB', 'TB'] as const;

/** As Ollama shows sizes: a kilobyte is 1000 bytes. */
const toSize = (bytes: number): string => {
  const power = bytes < 1000 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log10(bytes) / 3));
  const value = bytes / 1000 ** power;
  return `${power < 2 ? Math.round(value) : value.toFixed(1)} ${UNITS[power]}`;
};
