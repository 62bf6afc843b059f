import type { Channel } from '../../conversation/reply-event.ts';
import { BackendError } from '../../errors.ts';
import type { Part } from '../provider.ts';
import { isObject } from './line-reader.ts';
import type { Line } from './line-reader.ts';
import { OllamaRefusal, toRefusalError } from './ollama-errors.ts';
import type { Asked } from './ollama-errors.ts';
import { PrefillSeam } from './prefill-seam.ts';
import { RepetitionGuard } from './repetition-guard.ts';
import { ThinkTags } from './think-tags.ts';
import type { Said } from './think-tags.ts';

export interface ChatAnswerOptions {
  readonly asked: Asked;
  /** The answer so far, with which the model goes on. */
  readonly prefill?: string;
  /** Whether think tags at the start of the content are the model's thinking. */
  readonly readsThinkTags: boolean;
  /** The model called a tool that nobody had offered. */
  readonly onToolCall: () => void;
  /** Told the last line, with its figures. */
  readonly onDone?: (line: Line) => void;
}

export type AnswerEnd = 'running' | 'done' | 'repetition';

/** One answer of `/api/chat`, line by line: what its lines mean, and whether it has ended. */
export class ChatAnswer {
  readonly #options: ChatAnswerOptions;
  readonly #tags: ThinkTags | undefined;
  readonly #seam: PrefillSeam;
  readonly #guard = new RepetitionGuard();
  #end: AnswerEnd = 'running';
  #hasSpoken = false;
  /** Some backends send `done_reason` and never `done`. */
  #lastWord: Line | undefined;

  constructor(options: ChatAnswerOptions) {
    this.#options = options;
    this.#tags = options.readsThinkTags ? new ThinkTags() : undefined;
    this.#seam = new PrefillSeam(options.prefill ?? '');
  }

  get end(): AnswerEnd {
    return this.#end;
  }

  /** Whether a delta was given out: from then on a second attempt would say the same words twice. */
  get hasSpoken(): boolean {
    return this.#hasSpoken;
  }

  /**
   * Adds what the line says to `parts`, where neighbouring text of a channel becomes one. The last line too may
   * bring text.
   * @throws LLMError
   */
  take(line: Line, parts: Part[]): void {
    const { error, message } = line;
    if (error !== undefined && error !== null)
      throw toRefusalError(new OllamaRefusal(200, toText(error)), this.#options.asked);
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
    this.release(parts);
    throw new BackendError('Ollama ended the answer without saying that it is whole. Ask again.', {
      transient: !this.#hasSpoken,
    });
  }

  /** Nothing more comes: adds what was held back while it was not known what it is. */
  release(parts: Part[]): void {
    for (const said of this.#tags?.end() ?? []) this.#give(said, parts);
    this.#push('content', this.#seam.end(), parts);
  }

  #takeMessage(message: unknown, parts: Part[]): void {
    if (!isObject(message)) throw wrongField('message');
    // Within a line thinking comes first, as it does in the stream.
    this.#takeText('thinking', message['thinking'], parts);
    this.#takeText('content', message['content'], parts);
    if (message['tool_calls'] !== undefined) this.#options.onToolCall();
  }

  #takeText(channel: Channel, text: unknown, parts: Part[]): void {
    if (text === undefined || text === null || text === '' || this.#end !== 'running') return;
    if (typeof text !== 'string') throw wrongField(channel);
    for (const said of this.#read(channel, text)) this.#give(said, parts);
    if (!this.#guard.isStuck(text)) return;
    this.#end = 'repetition';
    this.release(parts);
    parts.push({ type: 'finish', finishReason: 'repetition' });
  }

  #read(channel: Channel, text: string): readonly Said[] {
    if (channel === 'content') return this.#tags?.take(text) ?? [{ channel, text }];
    return [...(this.#tags?.onThinking() ?? []), { channel, text }];
  }

  #give({ channel, text }: Said, parts: Part[]): void {
    this.#push(channel, channel === 'content' ? this.#seam.take(text) : text, parts);
  }

  #push(channel: Channel, text: string, parts: Part[]): void {
    if (text === '') return;
    this.#hasSpoken = true;
    const last = parts.at(-1);
    const isNeighbour = last?.type === 'text-delta' && last.channel === channel;
    if (!isNeighbour) return void parts.push({ type: 'text-delta', channel, text });
    const deltas = (last.deltas ?? 1) + 1;
    parts[parts.length - 1] = { type: 'text-delta', channel, text: last.text + text, deltas };
  }

  #finish(line: Line, parts: Part[]): void {
    this.#end = 'done';
    this.release(parts);
    this.#options.onDone?.(line);
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
