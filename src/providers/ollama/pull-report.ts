import type { Clock } from '../../clock.ts';
import type { PullProgress } from '../provider.ts';

export interface PullLog {
  info(fields: Readonly<Record<string, unknown>>, sentence: string): void;
  warn(fields: Readonly<Record<string, unknown>>, sentence: string): void;
}

/** How far a download is, for who draws it. */
export interface PullFigures extends PullProgress {
  readonly model: string;
  /** Whether it goes on. */
  readonly isRunning: boolean;
  /** Milliseconds since it began. */
  readonly elapsedMs: number;
}

export interface PullReportOptions {
  readonly clock: Clock;
  readonly log?: PullLog;
  readonly onFigures?: (figures: PullFigures) => void;
}

/** A line of the log for so much more, and not before so much time. */
const STEP_PERCENT = 10;
const STEP_MS = 10_000;

/** Tells the operator of one download: its beginning, now and then how far it is, and how it ended. */
export class PullReport {
  readonly #options: PullReportOptions;
  readonly #model: string;
  readonly #host: string;
  readonly #startedAt: number;
  #progress: PullProgress = {};
  #toldAt: number;
  #toldPercent = 0;

  constructor(options: PullReportOptions, { model, host }: { readonly model: string; readonly host: string }) {
    this.#options = options;
    this.#model = model;
    this.#host = host;
    this.#startedAt = options.clock.elapsed();
    this.#toldAt = this.#startedAt;
    options.log?.info({ model, host }, 'downloading a model');
    this.#tellFigures(true);
  }

  advance(progress: PullProgress): void {
    this.#progress = progress;
    this.#tellFigures(true);
    const now = this.#options.clock.elapsed();
    const percent = toPercent(progress);
    if (percent < this.#toldPercent + STEP_PERCENT || now - this.#toldAt < STEP_MS) return;
    this.#toldPercent = percent;
    this.#toldAt = now;
    const { completedBytes, totalBytes } = progress;
    this.#options.log?.info({ model: this.#model, percent, completedBytes, totalBytes }, 'downloading');
  }

  /** The host has it. */
  complete(): void {
    this.#tellFigures(false);
    const { totalBytes } = this.#progress;
    const fields = { model: this.#model, host: this.#host, seconds: this.#elapsedMs / 1000, totalBytes };
    this.#options.log?.info(fields, 'a model was downloaded');
  }

  fail(error: unknown): void {
    this.#tellFigures(false);
    const fields = { model: this.#model, host: this.#host, ...this.#progress, err: error };
    this.#options.log?.warn(fields, 'a model could not be downloaded');
  }

  /** The service stops: what the host has of it stays there. */
  leave(): void {
    this.#tellFigures(false);
  }

  get #elapsedMs(): number {
    return this.#options.clock.elapsed() - this.#startedAt;
  }

  #tellFigures(isRunning: boolean): void {
    this.#options.onFigures?.({ model: this.#model, isRunning, elapsedMs: this.#elapsedMs, ...this.#progress });
  }
}

const toPercent = ({ completedBytes = 0, totalBytes = 0 }: PullProgress): number =>
  totalBytes === 0 ? 0 : Math.floor((completedBytes / totalBytes) * 100);
