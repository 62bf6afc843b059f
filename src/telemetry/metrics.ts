import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

/** What is read when the figures are asked for. */
export interface MetricSources {
  /** Requests that wait for a slot, and that have one. */
  readonly queue: () => { readonly waiting: number; readonly serving: number };
  /** Replies that this instance writes. */
  readonly running: () => number;
  /** Open sockets. */
  readonly sockets: () => number;
  /** Hosts, whether each can be asked, as far as is known, and how many replies of this instance it makes. */
  readonly hosts: () => readonly HostFigures[];
}

export interface HostFigures {
  readonly host: string;
  readonly isUp: boolean;
  readonly running: number;
}

/** How a reply went. */
export interface ReplyFigures {
  readonly model: string;
  /** `done`, `cancelled`, or the code of its failure. */
  readonly outcome: string;
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly queuedMs: number;
  readonly firstTokenMs?: number;
  readonly totalMs: number;
}

const SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600];
const STORE_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2];
const TOKENS_PER_SECOND = [1, 2, 5, 10, 20, 50, 100, 200, 500];

/**
 * Figures for Prometheus. Labels are bounded: codes, models that may be asked for, operations, configured hosts;
 * never an owner, a conversation or anything that was said.
 */
export class Metrics {
  readonly #registry = new Registry();
  readonly #requests = this.#counter(
    'llm_requests_total',
    'Requests by outcome: accepted, duplicate, or the code of the refusal.',
    ['outcome'],
  );
  readonly #replies = this.#counter('llm_replies_total', 'Replies by model and outcome.', ['model', 'outcome']);
  readonly #tokens = this.#counter('llm_tokens_total', 'Tokens by model and kind (prompt, completion).', [
    'model',
    'kind',
  ]);
  readonly #queued = this.#histogram('llm_queue_seconds', 'Waiting for the model’s turn.', [], SECONDS);
  readonly #firstToken = this.#histogram(
    'llm_time_to_first_token_seconds',
    'From a request to the first token.',
    ['model'],
    SECONDS,
  );
  readonly #speed = this.#histogram(
    'llm_tokens_per_second',
    'Speed of a reply after its first token.',
    ['model'],
    TOKENS_PER_SECOND,
  );
  readonly #duration = this.#histogram(
    'llm_reply_seconds',
    'From a request to the end of its reply.',
    ['model'],
    SECONDS,
  );
  readonly #store = this.#histogram(
    'llm_store_seconds',
    'How long the store takes, by operation.',
    ['operation', 'result'],
    STORE_SECONDS,
  );

  readonly #refusals = this.#counter(
    'llm_refusals_total',
    'What either wire refused before it was a request, by code.',
    ['code'],
  );

  constructor() {
    collectDefaultMetrics({ register: this.#registry });
  }

  /** Adds what is read when the figures are asked for. */
  addGauges(sources: MetricSources): void {
    this.#gauge('llm_queue_waiting', 'Requests that wait for a slot.', () => sources.queue().waiting);
    this.#gauge('llm_queue_serving', 'Slots that are taken.', () => sources.queue().serving);
    this.#gauge('llm_replies_running', 'Replies that this instance writes.', sources.running);
    this.#gauge('llm_sockets', 'Open sockets.', sources.sockets);
    this.#hostGauge('llm_host_up', 'Whether a host can be asked, as far as is known.', () =>
      sources.hosts().map(({ host, isUp }) => [host, Number(isUp)]),
    );
    this.#hostGauge('llm_host_running', 'Replies of this instance that a host makes.', () =>
      sources.hosts().map(({ host, running }) => [host, running]),
    );
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** The text that Prometheus scrapes. */
  async collect(): Promise<string> {
    return this.#registry.metrics();
  }

  /** `outcome`: accepted, duplicate, or a code. */
  countRequest(outcome: string): void {
    this.#requests.inc({ outcome });
  }

  /** `code`: why a wire did not take what it was sent. */
  countRefusal(code: string): void {
    this.#refusals.inc({ code });
  }

  countReply({ model, outcome, promptTokens, completionTokens, queuedMs, firstTokenMs, totalMs }: ReplyFigures): void {
    this.#replies.inc({ model, outcome });
    this.#tokens.inc({ model, kind: 'prompt' }, promptTokens);
    this.#tokens.inc({ model, kind: 'completion' }, completionTokens);
    this.#queued.observe(queuedMs / 1000);
    this.#duration.observe({ model }, totalMs / 1000);
    if (firstTokenMs === undefined) return;
    this.#firstToken.observe({ model }, firstTokenMs / 1000);
    const speakingMs = totalMs - firstTokenMs;
    if (speakingMs > 0) this.#speed.observe({ model }, (completionTokens * 1000) / speakingMs);
  }

  timeStore(operation: string, result: 'ok' | 'error', seconds: number): void {
    this.#store.observe({ operation, result }, Math.max(0, seconds)); // the clock of the machine may be set back
  }

  #counter<Label extends string>(name: string, help: string, labelNames: readonly Label[]): Counter<Label> {
    return new Counter({ name, help, labelNames: [...labelNames], registers: [this.#registry] });
  }

  #histogram<Label extends string>(
    name: string,
    help: string,
    labelNames: readonly Label[],
    buckets: readonly number[],
  ): Histogram<Label> {
    return new Histogram({
      name,
      help,
      labelNames: [...labelNames],
      buckets: [...buckets],
      registers: [this.#registry],
    });
  }

  #gauge(name: string, help: string, read: () => number): void {
    const gauge: Gauge = new Gauge({ name, help, registers: [], collect: () => gauge.set(read()) });
    this.#registry.registerMetric(gauge);
  }

  #hostGauge(name: string, help: string, read: () => readonly (readonly [host: string, value: number])[]): void {
    const gauge: Gauge<'host'> = new Gauge({
      name,
      help,
      labelNames: ['host'],
      registers: [],
      collect: (): void => {
        gauge.reset();
        for (const [host, value] of read()) gauge.set({ host }, value);
      },
    });
    this.#registry.registerMetric(gauge);
  }
}
