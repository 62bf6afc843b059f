import type { Clock } from '../../clock.ts';
import { toFullModelName } from '../../conversation/model-name.ts';
import { BackendUnavailableError, LLMError, ModelNotFoundError, toLLMError } from '../../errors.ts';
import type { ModelLoading, PullProgress } from '../provider.ts';
import { untilAborted } from '../until-aborted.ts';
import type { PullOptions } from './pull-model.ts';
import { PullReport, type PullReportOptions } from './pull-report.ts';

/** A host that can be given a model. */
export interface PullTarget {
  readonly name: string;
  /**
   * Resolves when it has the model, and is known to.
   * @throws LLMError, or the signal's reason
   */
  pull(model: string, options: PullOptions): Promise<void>;
}

export interface ModelPullsOptions extends PullReportOptions {
  /** The host that gets the models: the first that can be asked; undefined where none can. */
  readonly chooseTarget: () => PullTarget | undefined;
  /** Runs the downloads of a host, one at a time perhaps; each at once by default. */
  readonly runPull?: (host: string, pull: () => Promise<void>) => Promise<void>;
}

/** Who waits is told at most this often. */
const TELL_MS = 1_000;
/** A download that failed is not tried again before. */
const PAUSE_MS = 60_000;

/**
 * The downloads of models that no host has: one for each model, shared by all who wait for it. They belong to the
 * service: nobody's leaving ends one.
 */
export class ModelPulls implements Disposable {
  readonly #options: ModelPullsOptions;
  readonly #running = new Map<string, Pull>();
  readonly #failures = new Map<string, { readonly at: number; readonly error: LLMError }>();
  readonly #stop = new AbortController();

  constructor(options: ModelPullsOptions) {
    this.#options = options;
  }

  /**
   * Whether the model may be waited for: it is being downloaded, or may be tried.
   * @throws LLMError as the attempt did that failed less than a minute ago
   */
  check(model: string): void {
    const failure = this.#failures.get(toFullModelName(model));
    if (!failure) return;
    const waitMs = failure.at + PAUSE_MS - this.#options.clock.elapsed();
    if (waitMs > 0) throw again(failure.error, waitMs);
  }

  /**
   * Tells how far the download is, again about once a second, and ends when the model is there.
   * @throws LLMError when it fails, or the signal's reason
   */
  async *follow(model: string, signal: AbortSignal): AsyncGenerator<ModelLoading, void> {
    signal.throwIfAborted();
    const pull = this.#join(model);
    while (!pull.isOver) {
      const { news } = pull; // before it is told how it is: what comes meanwhile is not missed
      yield pull.status;
      await untilAborted(news, signal);
    }
    if (pull.error !== undefined) throw pull.error;
  }

  [Symbol.dispose](): void {
    this.#stop.abort(new BackendUnavailableError('The service is stopping. Ask again in a moment.'));
  }

  /** @throws LLMError when it cannot be begun */
  #join(model: string): Pull {
    const key = toFullModelName(model);
    const running = this.#running.get(key);
    if (running) return running;
    this.check(model);
    const target = this.#options.chooseTarget();
    if (!target) throw nobodyThere();
    this.#failures.delete(key);
    const pull = new Pull(this.#options.clock);
    this.#running.set(key, pull);
    void this.#run(key, { model, target, pull });
    return pull;
  }

  /** It never rejects: who waits meets the error in `pull`. */
  async #run(key: string, { model, target, pull }: Started): Promise<void> {
    const report = new PullReport(this.#options, { model, host: target.name });
    const onProgress = (progress: PullProgress): void => {
      report.advance(progress);
      pull.advance(progress);
    };
    const { runPull = (_host, run) => run() } = this.#options;
    const { signal } = this.#stop;
    try {
      // Its turn on the host may be far away: who stops does not wait for it.
      await untilAborted(
        runPull(target.name, () => target.pull(model, { onProgress, signal })),
        signal,
      );
      report.complete();
      this.#running.delete(key);
      pull.end();
    } catch (error) {
      const known = toLLMError(error);
      if (signal.aborted) report.leave();
      else report.fail(error);
      this.#failures.set(key, { at: this.#options.clock.elapsed(), error: known });
      this.#running.delete(key);
      pull.end(known);
    }
  }
}

interface Started {
  /** As it was asked for. */
  readonly model: string;
  readonly target: PullTarget;
  readonly pull: Pull;
}

/** One download, as who waits for it sees it. */
class Pull {
  readonly #clock: Clock;
  readonly #since: number;
  #progress: PullProgress = {};
  #news = Promise.withResolvers<void>();
  #toldAt = Number.NEGATIVE_INFINITY;
  #isOver = false;
  #error: LLMError | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#since = clock.elapsed();
  }

  get status(): ModelLoading {
    return { state: 'model_loading', since: this.#since, ...this.#progress };
  }

  /** Resolves when there is something to be told. */
  get news(): Promise<void> {
    return this.#news.promise;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Why there is no model at the end. */
  get error(): LLMError | undefined {
    return this.#error;
  }

  advance(progress: PullProgress): void {
    const now = this.#clock.elapsed();
    const { completedBytes, totalBytes } = this.#progress;
    const isNew = progress.completedBytes !== completedBytes || progress.totalBytes !== totalBytes;
    this.#progress = progress;
    if (!isNew || now - this.#toldAt < TELL_MS) return;
    this.#toldAt = now;
    this.#tell();
  }

  end(error?: LLMError): void {
    this.#isOver = true;
    this.#error = error;
    this.#tell();
  }

  #tell(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }
}

/** The same answer to who asks too early: nothing was tried, but the reason still holds as far as is known. */
const again = (error: LLMError, retryAfterMs: number): LLMError =>
  error instanceof ModelNotFoundError
    ? new ModelNotFoundError(error.message, { cause: error })
    : new BackendUnavailableError(error.message, { cause: error, retryAfterMs });

const nobodyThere = (): BackendUnavailableError =>
  new BackendUnavailableError('No Ollama answers that could download the model. Is it running? `ollama serve`');
