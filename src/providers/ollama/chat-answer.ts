import type { Channel } from '../../conversation/reply-event.ts';
import { BackendError } from '../../errors.ts';
import type { Part } from '../provider.ts';
import { isObject } from './line-reader.ts';
import type { Line } from './line-reader.ts';
import { OllamaRefusal, toRefusalError } from './ollama-errors.ts';
import type { Asked } from './ollama-errors.ts';
import { RepetitionGuard } from './repetition-guard.ts';

export type AnswerEnd = 'running' | 'done' | 'repetition';

/** One answer of `/api/chat`, line by line: what its lines mean, and whether it has ended. */
export class ChatAnswer {
  readonly #asked: Asked;
  readonly #onToolCall: () => void;
  readonly #guard = new RepetitionGuard();
  #end: AnswerEnd = 'running';
  #hasSpoken = false;
  /** Some backends send `done_reason` and never `done`. */
  #lastWord: Line | undefined;

  constructor(asked: Asked, onToolCall: () => void) {
    this.#asked = asked;
    this.#onToolCall = onToolCall;
  }

  get end(): AnswerEnd {
    return this.#end;
  }

  /** Whether a delta has come: from then on a second attempt would say the same words twice. */
  get hasSpoken(): boolean {
    return this.#hasSpoken;
  }

  /**
   * Adds what the line says to `parts`. The last line too may bring text.
   * @throws LLMError
   */
  take(line: Line, parts: Part[]): void {
    const { error, message } = line;
    if (error !== undefined && error !== null) throw toRefusalError(new OllamaRefusal(200, toText(error)), this.#asked);
    if (message !== undefined) this.#takeMessage(message, parts);
    if (this.#end !== 'running') return;
    if (typeof line['done_reason'] === 'string' && line['done_reason'] !== '') this.#lastWord = line;
    if (line['done'] === true) this.#finish(line, parts);
  }

  /**
   * The stream has ended, by HTTP's own rules.
   * @throws BackendError when the answer had not
   */
  takeEnd(parts: Part[]): void {
    if (this.#lastWord !== undefined) return this.#finish(this.#lastWord, parts);
    throw new BackendError('Ollama ended the answer without saying that it is whole. Ask again.', {
      transient: !this.#hasSpoken,
    });
  }

  #takeMessage(message: unknown, parts: Part[]): void {
    if (!isObject(message)) throw wrongField('message');
    // Within a line thinking comes first, as it does in the stream.
    this.#takeText('thinking', message['thinking'], parts);
    this.#takeText('content', message['content'], parts);
    if (message['tool_calls'] !== undefined) this.#onToolCall();
  }

  #takeText(channel: Channel, text: unknown, parts: Part[]): void {
    if (text === undefined || text === null || text === '' || this.#end !== 'running') return;
    if (typeof text !== 'string') throw wrongField(channel);
    this.#hasSpoken = true;
    parts.push({ type: 'text-delta', channel, text });
    if (!this.#guard.isStuck(text)) return;
    this.#end = 'repetition';
    parts.push({ type: 'finish', finishReason: 'repetition' });
  }

  #finish(line: Line, parts: Part[]): void {
    this.#end = 'done';
    const promptTokens = toCount(line['prompt_eval_count']);
    const completionTokens = toCount(line['eval_count']);
    parts.push({
      type: 'finish',
      finishReason: line['done_reason'] === 'length' ? 'length' : 'stop',
      ...(promptTokens === undefined ? {} : { promptTokens }),
      ...(completionTokens === undefined ? {} : { completionTokens }),
    });
  }
}

const toCount = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;

const toText = (error: unknown): string => (typeof error === 'string' ? error : JSON.stringify(error));

const wrongField = (field: string): BackendError =>
  new BackendError(`Ollama sent a line whose \`${field}\` has the wrong type. Is OLLAMA_BASE_URL really an Ollama?`);
