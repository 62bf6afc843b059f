import type { Deadlines } from '../../deadlines.ts';
import { BackendUnavailableError, LLMError, ModelNotFoundError } from '../../errors.ts';
import type { PullProgress } from '../provider.ts';
import { ChatConnection } from './chat-connection.ts';
import { LineReader, type Line } from './line-reader.ts';
import { OllamaRefusal, toConnectionError } from './ollama-errors.ts';
import type { OllamaHost } from './ollama-host.ts';

export interface PullModelOptions extends PullOptions {
  readonly host: OllamaHost;
  readonly deadlines: Deadlines;
  readonly model: string;
}

export interface PullOptions {
  /** Told after what each read brought, also where that is nothing new. */
  readonly onProgress: (progress: PullProgress) => void;
  readonly signal: AbortSignal;
}

/** While it downloads, Ollama writes a line every 60 ms, also where nothing moves. */
const SILENCE_MS = 60_000;
/** Once everything is there, it reads it all again without a word: a hundred gigabytes from a slow disk. */
const CHECK_MS = 1_800_000;

/**
 * Downloads a model onto a host, for as long as it takes: only silence ends it. Resolves when the host has the model.
 * What was downloaded before a failure is kept by the host: the next attempt goes on from there.
 * @throws ModelNotFoundError when the registry does not have it
 * @throws BackendUnavailableError for all else
 * @throws the signal's reason
 */
export const pullModel = async (options: PullModelOptions): Promise<void> => {
  options.signal.throwIfAborted(); // its turn may have come late
  try {
    await pull(options);
  } catch (error) {
    options.signal.throwIfAborted();
    throw toPullError(error);
  }
};

const pull = async ({ host, deadlines, model, onProgress, signal }: PullModelOptions): Promise<void> => {
  const asked = { address: host.shownAddress, model };
  const body = JSON.stringify({ model });
  const connection = new ChatConnection({ host, deadlines, endpoint: 'pull', body, asked, signal });
  using silence = deadlines.start(SILENCE_MS, () => connection.abort(tooSilent(host.shownAddress)));
  const lines = new LineReader();
  const answer = new PullAnswer(model);
  try {
    while (!answer.isDone) {
      const bytes = await connection.read();
      for (const line of bytes ? lines.read(bytes) : lines.end()) answer.take(line);
      if (!bytes && !answer.isDone) throw brokenOff(host.shownAddress);
      silence.reset(answer.isChecking ? CHECK_MS : SILENCE_MS);
      onProgress(answer.progress);
    }
  } catch (error) {
    throw toConnectionError(error, asked);
  } finally {
    if (answer.isDone) connection.release();
    else await connection.close();
  }
};

interface Layer {
  readonly completed: number;
  readonly total: number;
}

/** What the lines of one download have said. */
class PullAnswer {
  readonly #model: string;
  readonly #layers = new Map<string, Layer>();
  isDone = false;
  /** Everything is there, and is looked at again. */
  isChecking = false;

  constructor(model: string) {
    this.#model = model;
  }

  /** Over all the layers that were named: each is named when its turn comes, the largest mostly first. */
  get progress(): PullProgress {
    if (this.#layers.size === 0) return {};
    const layers = [...this.#layers.values()];
    return {
      completedBytes: layers.reduce((sum, { completed }) => sum + completed, 0),
      totalBytes: layers.reduce((sum, { total }) => sum + total, 0),
    };
  }

  /** @throws LLMError for a line that says what went wrong */
  take({ status, digest, total, completed = 0, error }: Line): void {
    if (error !== undefined) throw toRefusedPull(this.#model, typeof error === 'string' ? error : '');
    if (status === 'success') this.isDone = true;
    this.isChecking = typeof status === 'string' && /^(verifying|writing|removing)/.test(status);
    if (typeof digest !== 'string' || !isCount(total) || !isCount(completed)) return;
    this.#layers.set(digest, { total, completed: Math.min(completed, total) });
  }
}

const isCount = (value: unknown): value is number => typeof value === 'number' && value >= 0;

/** What Ollama says in the middle, after its 200; the texts are its own, of v0.25 up to v0.33. */
const toRefusedPull = (model: string, text: string): LLMError => {
  const details = { cause: new OllamaRefusal(200, text) };
  if (/file does not exist$|^invalid model name/.test(text)) {
    return new ModelNotFoundError(
      `There is no model ${JSON.stringify(model)} to be downloaded. Is its name right? https://ollama.com/library has them all.`,
      details,
    );
  }
  if (/no space left|not enough (disk )?space/.test(text)) {
    return new BackendUnavailableError('The disk of the Ollama host is full: the model does not fit on it.', details);
  }
  if (/newer version of Ollama/.test(text)) {
    return new BackendUnavailableError('Ollama is too old for this model. Update Ollama.', details);
  }
  return new BackendUnavailableError('Ollama could not download the model. Its log says more.', details);
};

/** What cannot be downloaded now is not there now, whatever stood in the way. */
const toPullError = (error: unknown): LLMError => {
  if (error instanceof ModelNotFoundError || error instanceof BackendUnavailableError) return error;
  const message = error instanceof LLMError ? error.message : 'The model could not be downloaded. The log says more.';
  return new BackendUnavailableError(message, { cause: error });
};

const tooSilent = (address: string): BackendUnavailableError =>
  new BackendUnavailableError(`Ollama at ${address} fell silent while it downloaded the model. Ask again.`);

const brokenOff = (address: string): BackendUnavailableError =>
  new BackendUnavailableError(`Ollama at ${address} broke off while it downloaded the model. Ask again.`);
