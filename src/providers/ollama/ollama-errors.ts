import {
  BackendError,
  BackendTimeoutError,
  BackendUnavailableError,
  ContextLengthExceededError,
  InvalidRequestError,
  LLMError,
  ModelNotFoundError,
  UnsupportedError,
} from '../../errors.ts';
import type { ErrorDetails } from '../../errors.ts';

/**
 * What Ollama answered instead of what was asked for. It is the `cause` of our error, for the log alone: its
 * words may hold names, paths and pieces of prompts.
 */
export class OllamaRefusal extends Error {
  override readonly name = 'OllamaRefusal';
  /** HTTP's; 200 for an error line in the middle of a stream. */
  readonly status: number;

  constructor(status: number, text: string) {
    super(text);
    this.status = status;
  }
}

/** The `cause` of our error: a question that should take no time was not answered in its time. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';
}

/** Whom our sentences speak of. */
export interface Asked {
  /** The base URL without credentials. */
  readonly address: string;
  /** As the caller wrote it; absent where no model was asked for. */
  readonly model?: string;
  /** The models that the host has, as far as it is known. */
  readonly available?: readonly string[];
}

/** One row: an answer with this status (any, when absent) whose text matches becomes this error. */
interface Row {
  readonly status?: number;
  readonly text?: RegExp;
  readonly to: (asked: Asked, details: ErrorDetails) => LLMError;
}

type ErrorClass = new (message: string, details: ErrorDetails) => LLMError;

const always =
  (Class: ErrorClass, sentence: string) =>
  (_asked: Asked, details: ErrorDetails): LLMError =>
    new Class(sentence, details);

/** May pass by itself, so that another attempt is worth its while; not before `leastDelayMs` at the same host. */
const transient =
  (sentence: string, leastDelayMs = 0) =>
  (_asked: Asked, details: ErrorDetails): LLMError =>
    new BackendUnavailableError(sentence, { ...details, transient: true, leastDelayMs });

/** A fault of this host, or of what it has: another one may be better off. */
const elsewhere =
  (Class: ErrorClass, sentence: string) =>
  (_asked: Asked, details: ErrorDetails): LLMError =>
    new Class(sentence, { ...details, elsewhere: true });

const noModel = (asked: Asked, details: ErrorDetails): LLMError => toModelNotFound(asked, details);

const noApi = ({ address }: Asked, details: ErrorDetails): LLMError =>
  new BackendError(`There is no Ollama API at ${address}. Check OLLAMA_BASE_URL.`, { ...details, elsewhere: true });

const TOO_LONG = always(
  ContextLengthExceededError,
  "The conversation does not fit into the model's context window. Send a shorter message, or raise LLM_CONTEXT_WINDOW.",
);
const NO_IMAGES = always(UnsupportedError, 'This model cannot look at images. Choose one with vision.');
const NO_MEMORY = elsewhere(
  BackendUnavailableError,
  'Ollama could not load the model, most likely for want of memory. Choose a smaller model or a smaller ' +
    'LLM_CONTEXT_WINDOW; the log of Ollama says more.',
);
/** A line that is full is not empty in the next moment. */
const QUEUE_FULL_MS = 1_000;
/** What a process that has stopped held on the card is free only after a moment. */
const RUNNER_GONE_MS = 2_000;
const RUNNER_GONE = transient("The model's process on the Ollama host has stopped. Ask again.", RUNNER_GONE_MS);

// The texts are literal beginnings or parts of Ollama's own, of v0.25 (May 2026) up to v0.33 (August 2026); the
// first row that fits wins. An answer with the status 200 is an error line in the middle of a stream.
const ROWS: readonly Row[] = [
  { text: /exceed_context_size_error|exceeds the (available )?context (length|size)/, to: TOO_LONG },
  { text: /^the prompt is longer than the context length/, to: TOO_LONG },
  { text: /^Multimodal data provided, but model does not support|image input is not supported/, to: NO_IMAGES },
  { text: /does not support thinking$/, to: always(UnsupportedError, 'This model cannot think. Leave `think` out.') },
  { text: /does not support tools$/, to: always(UnsupportedError, 'This model cannot use tools.') },
  {
    text: /does not support chat$/,
    to: always(UnsupportedError, 'This model cannot chat: it makes embeddings. Choose another.'),
  },
  {
    text: /^invalid think value|prefill is incompatible with enable_thinking/,
    to: always(
      UnsupportedError,
      'This Ollama, or this model, does not know that way to think. Choose another `think`.',
    ),
  },
  {
    text: /^invalid format/,
    to: always(InvalidRequestError, 'Ollama cannot use this `format`. Send "json" or a simpler JSON Schema.'),
  },
  {
    text: /^illegal base64 data/,
    to: always(InvalidRequestError, 'An image is not valid base64. Send its bytes in base64, without a URL.'),
  },
  { text: /^invalid model name$/, to: noModel },
  { status: 404, text: /^model ['"].*['"] not found/s, to: noModel },
  { status: 404, to: noApi },
  { status: 405, to: noApi },
  {
    text: /^model runner has unexpectedly stopped|process no longer running|connection refused|^no slots available/,
    to: RUNNER_GONE,
  },
  { text: /^an error was encountered while running the model/, to: RUNNER_GONE },
  {
    text: /incompatible with your version of Ollama/,
    to: elsewhere(BackendUnavailableError, 'Ollama is too old for this model. Update Ollama, or choose another model.'),
  },
  { text: /process has terminated|^model failed to load|^unable to load model/, to: NO_MEMORY },
  { text: /requires more system memory|reported out-of-memory/, to: NO_MEMORY },
  {
    text: /^timed out waiting for/,
    to: elsewhere(BackendTimeoutError, 'Ollama gave up loading the model. Ask again; its log says more.'),
  },
  { status: 503, to: transient('Ollama is busy: its queue is full. Ask again in a moment.', QUEUE_FULL_MS) },
  { status: 502, to: transient('The proxy before Ollama does not reach it. Ask again in a moment.') },
  { status: 504, to: always(BackendTimeoutError, 'The proxy before Ollama waited too long. Raise its time limit.') },
  { status: 499, to: transient('Ollama dropped the request. Ask again.') },
  {
    status: 403,
    text: /^$/,
    to: ({ address }, details) =>
      new BackendError(
        `Ollama at ${address} refuses this address. On its machine set OLLAMA_HOST=0.0.0.0 (it then answers under any ` +
          'name) or OLLAMA_ORIGINS, and start it again.',
        { ...details, elsewhere: true },
      ),
  },
  {
    status: 401,
    to: elsewhere(
      BackendError,
      'Ollama asks for credentials. Put them into OLLAMA_BASE_URL: https://user:password@host.',
    ),
  },
  {
    status: 429,
    to: always(BackendError, 'The host of this model limits how often it may be asked. Ask again later.'),
  },
];

/** What Ollama refused, as one of our errors. */
export const toRefusalError = (refusal: OllamaRefusal, asked: Asked): LLMError => {
  const { status, message: text } = refusal;
  if (status >= 300 && status < 400) return toRedirectError(asked, refusal);
  const row = ROWS.find((each) => (each.status ?? status) === status && (each.text?.test(text) ?? true));
  return row?.to(asked, { cause: refusal }) ?? unknownRefusal(asked, refusal);
};

const unknownRefusal = ({ address }: Asked, refusal: OllamaRefusal): LLMError =>
  new BackendError(`Ollama at ${address} answered with an error (HTTP ${refusal.status}). The log says more.`, {
    cause: refusal,
    elsewhere: refusal.status === 403 || refusal.status >= 500,
  });

const toRedirectError = ({ address }: Asked, cause: unknown): LLMError =>
  new BackendError(`${address} sends requests elsewhere. Set OLLAMA_BASE_URL to where Ollama itself answers.`, {
    cause,
    elsewhere: true,
  });

/** Says which models there are and the command that gets this one. */
export const toModelNotFound = ({ address, model = '', available }: Asked, details: ErrorDetails = {}): LLMError => {
  const isPlain = /^[\w./:@-]{1,200}$/.test(model); // nothing else may stand in a command that people copy
  const missing = isPlain
    ? `There is no model ${model} at ${address}.`
    : `There is no model of that name at ${address}.`;
  const command = isPlain ? ` To get it: ollama pull ${model}` : '';
  return new ModelNotFoundError(`${missing}${toModelList(available)}${command}`, { elsewhere: true, ...details });
};

const SHOWN_MODELS = 10;

const toModelList = (available: readonly string[] | undefined): string => {
  if (available === undefined) return '';
  if (available.length === 0) return ' It has none yet.';
  const more = available.length > SHOWN_MODELS ? ' …' : '';
  return ` It has: ${available.slice(0, SHOWN_MODELS).join(', ')}${more}.`;
};

// Node's and undici's codes for: nobody there, or not any more.
const UNREACHABLE: ReadonlySet<string> = new Set(
  'ECONNREFUSED ENOTFOUND EAI_AGAIN EHOSTUNREACH ENETUNREACH EHOSTDOWN ETIMEDOUT UND_ERR_CONNECT_TIMEOUT'.split(' '),
);
const RESET: ReadonlySet<string> = new Set(
  'ECONNRESET EPIPE UND_ERR_SOCKET UND_ERR_RES_CONTENT_LENGTH_MISMATCH UND_ERR_CLOSED UND_ERR_DESTROYED'.split(' '),
);

/** What went wrong on the way to the host or back, as one of our errors; ours stay as they are. */
export const toConnectionError = (error: unknown, asked: Asked): LLMError => {
  if (error instanceof LLMError) return error;
  const { address } = asked;
  const failures = causesOf(error);
  const code = failures.map(codeOf).find((each) => each !== undefined) ?? '';
  const details = { cause: error, transient: true };
  if (UNREACHABLE.has(code)) {
    return new BackendUnavailableError(`Nothing answers at ${address}. Is Ollama running? \`ollama serve\``, details);
  }
  if (RESET.has(code)) {
    return new BackendUnavailableError(`Ollama at ${address} closed the connection. Ask again.`, details);
  }
  if (failures.some((failure) => /redirect/.test(failure.message))) return toRedirectError(asked, error);
  if (error instanceof SyntaxError) {
    const sentence = `What answers at ${address} sends no JSON. Check OLLAMA_BASE_URL.`;
    return new BackendError(sentence, { cause: error, elsewhere: true });
  }
  return new BackendError(`The connection to ${address} failed. Check OLLAMA_BASE_URL; the log says more.`, {
    cause: error,
    elsewhere: true,
  });
};

/** What an error says of the host: that nobody is there, that it does wrong, or nothing at all. */
export type HostFault = 'unreachable' | 'failure' | undefined;

/** A request's own fault, a model that is not there and one that does not fit are no faults of the host. */
export const toHostFault = (error: unknown): HostFault => {
  if (!(error instanceof LLMError)) return undefined;
  if (causesOf(error).some(isNobodyThere)) return 'unreachable';
  if (error instanceof BackendTimeoutError) return error.elsewhere ? undefined : 'failure';
  if (error instanceof BackendUnavailableError) return error.transient ? 'failure' : undefined;
  return error instanceof BackendError && !isRequestsFault(error.cause) ? 'failure' : undefined;
};

const isNobodyThere = (error: Error): boolean => error instanceof NoAnswer || UNREACHABLE.has(codeOf(error) ?? '');

const isRequestsFault = (cause: unknown): boolean =>
  cause instanceof OllamaRefusal && [400, 429].includes(cause.status);

/** In the middle of an answer nothing can be asked again: what has been seen cannot be unseen. */
export const toBrokenAnswer = (error: LLMError): LLMError =>
  error instanceof BackendUnavailableError
    ? new BackendError('Ollama broke off in the middle of the answer. What came is kept; ask again.', {
        cause: error.cause ?? error,
      })
    : error;

/** The error and what it says caused it, outermost first: `fetch` hides what happened two levels down. */
const causesOf = (error: unknown): readonly Error[] =>
  error instanceof Error ? [error, ...causesOf(error.cause)] : [];

const codeOf = (error: Error): string | undefined =>
  'code' in error && typeof error.code === 'string' ? error.code : undefined;
