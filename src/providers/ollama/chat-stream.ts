import type { Deadlines } from '../../deadlines.ts';
import { BackendTimeoutError } from '../../errors.ts';
import type { Part } from '../provider.ts';
import { ChatAnswer } from './chat-answer.ts';
import type { ChatAnswerOptions } from './chat-answer.ts';
import { ChatConnection } from './chat-connection.ts';
import { LineReader } from './line-reader.ts';
import { toBrokenAnswer, toConnectionError } from './ollama-errors.ts';
import type { OllamaHost } from './ollama-host.ts';
import { SilenceClock } from './silence-clock.ts';
import type { SilenceClockOptions } from './silence-clock.ts';

export interface ChatStreamOptions extends Omit<SilenceClockOptions, 'onSilence'>, ChatAnswerOptions {
  readonly host: OllamaHost;
  readonly deadlines: Deadlines;
  /** JSON. */
  readonly body: string;
  readonly signal: AbortSignal;
  /** The chat was given up before its first byte: the stream ends when this resolves. */
  readonly onGivenUp?: (given: GivenUp) => Promise<void>;
}

export interface GivenUp {
  /** `left`: by the signal; `silence`: by the clock. */
  readonly by: 'left' | 'silence';
  /** Whether the model was loaded meanwhile; undefined where nobody had asked, or nobody answered. */
  readonly isLoaded: boolean | undefined;
}

/**
 * One answer of Ollama as parts, an array per read: deltas, then one finish. However it ends, by its end, an
 * error, an abort or a reader who leaves, the connection is free or closed afterwards.
 * @throws LLMError, or the signal's reason
 */
export async function* streamChat(options: ChatStreamOptions): AsyncGenerator<readonly Part[], void> {
  const { asked, signal } = options;
  signal.throwIfAborted(); // it may have aborted while nobody read: then nothing is sent
  const answer = new ChatAnswer(options);
  const lines = new LineReader();
  const connection = new ChatConnection(options);
  const first = new FirstByte(options);
  using silence = new SilenceClock({
    ...options,
    isLoading: () => first.isLoading(),
    onSilence: (ms) => {
      first.onSilence();
      connection.abort(tooSilent(ms, options, !answer.hasSpoken));
    },
  });
  try {
    while (answer.end === 'running') {
      silence.listen();
      const bytes = await connection.read();
      silence.rest();
      first.onRead();
      const { parts, error } = bytes ? takeLines(lines, bytes, answer) : takeEnd(lines, answer);
      if (parts.length > 0) yield parts;
      if (error !== undefined) throw error;
    }
  } catch (error) {
    signal.throwIfAborted();
    const held: Part[] = [];
    answer.release(held);
    if (held.length > 0) yield held;
    const ours = toConnectionError(error, asked);
    throw answer.hasSpoken ? toBrokenAnswer(ours) : ours;
  } finally {
    if (answer.end === 'done') connection.release();
    else await connection.close();
    await first.onEnd();
  }
}

/** What is known of a chat while it waits for its first byte. */
class FirstByte {
  readonly #options: ChatStreamOptions;
  #isLoaded: boolean | undefined;
  #isSilent = false;
  #hasCome = false;

  constructor(options: ChatStreamOptions) {
    this.#options = options;
  }

  async isLoading(): Promise<boolean | undefined> {
    const isLoading = await this.#options.isLoading();
    this.#isLoaded = isLoading === undefined ? undefined : !isLoading;
    return isLoading;
  }

  onSilence(): void {
    this.#isSilent = true;
  }

  onRead(): void {
    this.#hasCome = true;
  }

  /** The connection is closed: tells who gave up, if nothing had come. */
  async onEnd(): Promise<void> {
    const { signal, onGivenUp } = this.#options;
    if (this.#hasCome || !onGivenUp) return;
    if (signal.aborted) await onGivenUp({ by: 'left', isLoaded: this.#isLoaded });
    else if (this.#isSilent) await onGivenUp({ by: 'silence', isLoaded: this.#isLoaded });
  }
}

/** What was said before something went wrong, too. */
interface Taken {
  readonly parts: readonly Part[];
  readonly error?: unknown;
}

const takeLines = (lines: LineReader, bytes: Buffer, answer: ChatAnswer): Taken =>
  take((parts) => {
    for (const line of lines.read(bytes)) {
      answer.take(line, parts);
      if (answer.end !== 'running') return;
    }
  });

const takeEnd = (lines: LineReader, answer: ChatAnswer): Taken =>
  take((parts) => {
    for (const line of lines.end()) answer.take(line, parts);
    if (answer.end === 'running') answer.takeEnd(parts);
  });

const take = (read: (parts: Part[]) => void): Taken => {
  const parts: Part[] = [];
  try {
    read(parts);
    return { parts };
  } catch (error) {
    return { parts, error };
  }
};

/** `elsewhere`: nothing has been said, so that another host may say it. */
const tooSilent = (ms: number, { silenceMs }: ChatStreamOptions, elsewhere: boolean): BackendTimeoutError => {
  const setting = ms > silenceMs ? 'LLM_LOAD_TIMEOUT' : 'LLM_TIMEOUT';
  const sentence = `The model was silent for ${ms / 1000} s. Ask again, or raise ${setting}.`;
  return new BackendTimeoutError(sentence, { elsewhere });
};
