import type { Deadlines } from '../../deadlines.ts';
import { BackendTimeoutError } from '../../errors.ts';
import type { Part } from '../provider.ts';
import { ChatAnswer } from './chat-answer.ts';
import { ChatConnection } from './chat-connection.ts';
import { LineReader } from './line-reader.ts';
import { toBrokenAnswer, toConnectionError } from './ollama-errors.ts';
import type { Asked } from './ollama-errors.ts';
import type { OllamaHost } from './ollama-host.ts';
import { SilenceClock } from './silence-clock.ts';
import type { SilenceClockOptions } from './silence-clock.ts';

export interface ChatStreamOptions extends Omit<SilenceClockOptions, 'onSilence'> {
  readonly host: OllamaHost;
  readonly deadlines: Deadlines;
  /** JSON. */
  readonly body: string;
  readonly asked: Asked;
  readonly signal: AbortSignal;
  /** The model called a tool that nobody had offered. */
  readonly onToolCall: () => void;
}

/**
 * One answer of Ollama as parts, an array per read: deltas, then one finish. However it ends, by its end, an
 * error, an abort or a reader who leaves, the connection is free or closed afterwards.
 * @throws LLMError, or the signal's reason
 */
export async function* streamChat(options: ChatStreamOptions): AsyncGenerator<readonly Part[], void> {
  const { asked, signal } = options;
  const answer = new ChatAnswer(asked, options.onToolCall);
  const lines = new LineReader();
  const connection = new ChatConnection(options);
  using silence = new SilenceClock({ ...options, onSilence: (ms) => connection.abort(tooSilent(ms, options)) });
  try {
    while (answer.end === 'running') {
      silence.listen();
      const bytes = await connection.read();
      silence.rest();
      const { parts, error } = bytes ? takeLines(lines, bytes, answer) : takeEnd(lines, answer);
      if (parts.length > 0) yield parts;
      if (error !== undefined) throw error;
    }
  } catch (error) {
    signal.throwIfAborted();
    const ours = toConnectionError(error, asked);
    throw answer.hasSpoken ? toBrokenAnswer(ours) : ours;
  } finally {
    if (answer.end === 'done') connection.release();
    else await connection.close();
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

const tooSilent = (ms: number, { silenceMs }: ChatStreamOptions): BackendTimeoutError => {
  const setting = ms > silenceMs ? 'LLM_LOAD_TIMEOUT' : 'LLM_TIMEOUT';
  return new BackendTimeoutError(`The model was silent for ${ms / 1000} s. Ask again, or raise ${setting}.`);
};
