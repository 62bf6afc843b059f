import type { Clock } from '../clock.ts';
import type { Append, AppendAnswer, ChatStore } from '../stores/chat-store.ts';

/** Who has something to append. */
export interface AppendSource {
  /** What is to be appended now; undefined when there is nothing (any more). */
  takeAppend(): Append | undefined;
  /** The store's answer to what was taken. */
  onAnswer(answer: AppendAnswer): void;
  /** The store did not answer; the source says whether it wants to be asked again. */
  onFailure(error: unknown): boolean;
}

/** A call of more replies than this lets a little more gather before the next. */
const LARGE_CALL = 32;
const GATHER_MS = 5;
const RETRY_MS = 250;

/**
 * One append call in flight for all replies of the instance. What comes meanwhile gathers and shares the next
 * call: a token is stored as soon as it can be, and load makes batches by itself.
 */
export class LogAppender {
  readonly #store: ChatStore;
  readonly #clock: Clock;
  readonly #waiting = new Set<AppendSource>();
  #running = false;

  constructor(store: ChatStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** The source has something; it is asked for it when its turn comes. */
  request(source: AppendSource): void {
    this.#waiting.add(source);
    if (!this.#running) void this.#run();
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#waiting.size > 0) {
      const calls = this.#collect();
      if (calls.length === 0) continue;
      const pauseMs = await this.#call(calls);
      if (pauseMs > 0) await this.#clock.sleep(pauseMs);
    }
    this.#running = false;
  }

  #collect(): readonly Call[] {
    const sources = [...this.#waiting];
    this.#waiting.clear();
    return sources.flatMap((source) => {
      const append = source.takeAppend();
      return append ? [{ source, append }] : [];
    });
  }

  /** Makes one call and hands out its answers; says how long to wait before the next. */
  async #call(calls: readonly Call[]): Promise<number> {
    const answers = await this.#append(calls);
    if (!answers) return RETRY_MS;
    for (const [index, { source }] of calls.entries()) source.onAnswer(answers[index] ?? { type: 'gone' });
    return calls.length > LARGE_CALL ? GATHER_MS : 0;
  }

  /** Undefined when the store did not answer: who wants to be asked again waits. */
  async #append(calls: readonly Call[]): Promise<readonly AppendAnswer[] | undefined> {
    try {
      return await this.#store.append(calls.map(({ append }) => append));
    } catch (error) {
      for (const { source } of calls) if (source.onFailure(error)) this.#waiting.add(source);
      return undefined;
    }
  }
}

interface Call {
  readonly source: AppendSource;
  readonly append: Append;
}
