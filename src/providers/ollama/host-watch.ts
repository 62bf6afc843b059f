import type { Clock } from '../../clock.ts';
import { BackendUnavailableError, LLMError, toLLMError } from '../../errors.ts';
import type { HostView } from '../../limits/host-board.ts';
import { Breaker } from '../breaker.ts';
import type { Attempt, BreakerState } from '../breaker.ts';
import type { ModelCatalog } from './model-catalog.ts';
import { OllamaRefusal, toHostFault } from './ollama-errors.ts';
import type { OllamaHost } from './ollama-host.ts';

export interface OllamaLog {
  info(fields: Readonly<Record<string, unknown>>, sentence: string): void;
  warn(fields: Readonly<Record<string, unknown>>, sentence: string): void;
}

export interface HostWatchOptions {
  readonly host: OllamaHost;
  readonly catalog: ModelCatalog;
  readonly clock: Clock;
  readonly log?: OllamaLog;
  /** Called when the host may be asked that could not be before. */
  readonly onChange: () => void;
}

/** Who is asked whether he is there says so at once. */
const PROBE_MS = 2_000;
/** So long after a host was lost somebody asks whether it is back; then only who wants it. */
const WATCHED_MS = 600_000;
/** So long after it was lost a host is believed to be back in a moment. */
const BELIEVED_MS = 60_000;
/** So long after a silence a host is asked only when no other can be. */
const SUSPECT_MS = 60_000;
/** Who was told to wait not at all would ask in a loop. */
const LEAST_WAIT_MS = 1_000;

/** Whether one host can be asked: learnt from what it does, and by asking whether it is back when it was lost. */
export class HostWatch implements Disposable {
  readonly #options: HostWatchOptions;
  readonly #breaker: Breaker;
  readonly #stop = new AbortController();
  #error: LLMError | undefined;
  #lostAt: number | undefined;
  #suspectUntil = 0;
  #probing: Promise<void> | undefined;
  #probedAt = Number.NEGATIVE_INFINITY;
  #isWatching = false;

  constructor(options: HostWatchOptions) {
    this.#options = options;
    this.#breaker = new Breaker(options.clock, (state) => this.#onBreaker(state));
  }

  get state(): HostView['state'] {
    const { catalog, clock } = this.#options;
    const { state } = this.#breaker;
    if (!catalog.isKnown || state === 'open') return 'away';
    if (state === 'half-open') return 'trial';
    return catalog.isLate || this.#suspectUntil > clock.elapsed() ? 'suspect' : 'up';
  }

  /** Why it could not be asked when that was last tried. */
  get error(): LLMError | undefined {
    return this.#error;
  }

  /** It was there, and is away. Who has never been there is asked by everybody, so that it is met at once. */
  get isLost(): boolean {
    return this.#breaker.state === 'open' && this.#options.catalog.isKnown;
  }

  /** Whether it was lost only a moment ago, or not at all. */
  get isBelieved(): boolean {
    return this.#lostAt === undefined || this.#options.clock.elapsed() - this.#lostAt < BELIEVED_MS;
  }

  /** Milliseconds until it is asked whether it is back. */
  get waitMs(): number {
    return this.#breaker.waitMs;
  }

  /** A reply begins; undefined where it may not. */
  begin(): Attempt | undefined {
    return this.#breaker.begin();
  }

  /** Learns from what went wrong; false when that says nothing of the host. */
  learnFrom(error: unknown, attempt?: Attempt): boolean {
    const fault = toHostFault(error);
    if (fault === undefined) return false;
    if (error instanceof LLMError) this.#error = error;
    (attempt ?? this.#breaker).fail(fault);
    return true;
  }

  /** It accepts and says nothing; a trial that ends so has failed. */
  suspect(attempt: Attempt): void {
    this.#suspectUntil = this.#options.clock.elapsed() + SUSPECT_MS;
    if (this.#breaker.state === 'half-open') attempt.fail('failure');
  }

  /** Sees to it that it is known which models it has, as of `maxAgeMs` ago, where it can be asked. It never throws. */
  async learnModels(maxAgeMs?: number): Promise<void> {
    if (this.isLost) return this.waitMs === 0 ? this.#probe() : undefined;
    try {
      await this.#options.catalog.refresh(maxAgeMs);
      this.#breaker.answered();
      if (this.#breaker.state === 'closed') this.#error = undefined;
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Somebody has no other host: asks one that has gone whether it is back, before its time. It never throws. */
  async askEarly(): Promise<void> {
    const isDue = this.#options.clock.elapsed() - this.#probedAt >= LEAST_WAIT_MS;
    if (this.isLost && this.#breaker.isUnreachable && (isDue || this.#probing)) await this.#probe();
  }

  /** Its version, or why it does not say it; a host that was lost is not asked between two probes. It never throws. */
  async askVersion(): Promise<string | LLMError> {
    if (this.isLost) return this.#error ?? this.toAwayError();
    try {
      return await this.#learnVersion();
    } catch (error) {
      this.#error = toLLMError(error);
      this.#breaker.unanswered();
      return this.#error;
    }
  }

  /** It cannot be asked now: when it is worth another question. */
  toAwayError(): BackendUnavailableError {
    const { shownAddress } = this.#options.host;
    const sentence = `Ollama at ${shownAddress} has failed, and is not asked for a moment. Ask again.`;
    return new BackendUnavailableError(this.#error?.message ?? sentence, {
      transient: true,
      retryAfterMs: Math.max(LEAST_WAIT_MS, this.waitMs),
      cause: this.#error,
    });
  }

  [Symbol.dispose](): void {
    this.#stop.abort();
  }

  /** @throws LLMError */
  async #learnVersion(): Promise<string> {
    const options = { limitMs: PROBE_MS, signal: this.#stop.signal };
    try {
      const { version } = await this.#options.host.ask((client) => client.version(), options);
      return typeof version === 'string' ? version : 'unknown';
    } catch (error) {
      if (isRefusedPath(error)) return 'unknown';
      throw error;
    }
  }

  #fail(error: unknown): void {
    if (!this.learnFrom(error) && error instanceof LLMError) this.#error = error;
    // Who has never said what it has cannot be asked for anything: it is watched until it does.
    if (!this.#options.catalog.isKnown && this.#breaker.state === 'closed') this.#breaker.unanswered();
  }

  #onBreaker(state: BreakerState): void {
    const { clock, host, log, onChange } = this.#options;
    if (state === 'open') {
      const fields = { host: host.address, err: this.#error };
      if (this.#lostAt === undefined) log?.warn(fields, 'a host is not asked until it is back');
      this.#lostAt ??= clock.elapsed();
      void this.#watch();
      return;
    }
    if (state === 'closed') {
      log?.info({ host: host.address }, 'a host is back');
      this.#lostAt = undefined;
      this.#error = undefined;
    }
    onChange();
  }

  /** Asks a host that was lost whether it is back, for those who wait for it. */
  async #watch(): Promise<void> {
    if (this.#isWatching) return;
    this.#isWatching = true;
    const { clock } = this.#options;
    const until = clock.elapsed() + WATCHED_MS;
    try {
      while (this.#breaker.state === 'open' && clock.elapsed() < until) {
        await clock.sleep(this.waitMs, this.#stop.signal);
        if (this.waitMs === 0) await this.#probe();
      }
    } catch {
      // The service is stopping.
    } finally {
      this.#isWatching = false;
    }
  }

  #probe(): Promise<void> {
    return (this.#probing ??= this.#askBoth().finally(() => (this.#probing = undefined)));
  }

  async #askBoth(): Promise<void> {
    const { catalog, clock } = this.#options;
    const { signal } = this.#stop;
    this.#probedAt = clock.elapsed();
    try {
      await this.#learnVersion();
      await catalog.refresh(0, PROBE_MS);
      this.#breaker.answered();
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof LLMError) this.#error = error;
      if (this.waitMs === 0) this.#breaker.unanswered(); // who was asked early is asked no later for that
    }
  }
}

/** Somebody is there: a proxy, perhaps, that lets nothing through but what replies need. */
const isRefusedPath = (error: unknown): boolean =>
  error instanceof LLMError && error.cause instanceof OllamaRefusal && [404, 405].includes(error.cause.status);
