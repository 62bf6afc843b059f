import type { Part, ProviderRequest } from '../provider.ts';
import { untilAborted } from '../until-aborted.ts';
import type { OllamaModel } from './model-catalog.ts';
import { OllamaRefusal } from './ollama-errors.ts';
import type { PrefillProbe } from './prefill-probe.ts';

/** The question to a model that does not go on with a text by itself: the only words that we put into a prompt. */
export const GO_ON = 'Go on exactly where you stopped. Do not repeat anything and do not comment.';

export interface GoingOn {
  readonly request: ProviderRequest;
  readonly model: OllamaModel;
  readonly probe: PrefillProbe;
  readonly signal: AbortSignal;
  /** Asks the model; a request that ends with the assistant's own message is one to be gone on with. */
  readonly chat: (request: ProviderRequest) => AsyncGenerator<readonly Part[], void>;
}

/**
 * Asks for an answer, or for the rest of one: where the request brings a text so far, the model goes on with it if it
 * can, and is asked in words to do so if it cannot. Thinking is off then: it was over when the text began.
 * @throws LLMError, or the signal's reason
 */
export const streamOn = (going: GoingOn): AsyncGenerator<readonly Part[], void> => {
  const begun = going.request.prefill?.trimEnd() ?? '';
  return begun === '' ? going.chat(going.request) : streamRest(going, begun);
};

async function* streamRest(
  { request, model, probe, signal, chat }: GoingOn,
  begun: string,
): AsyncGenerator<readonly Part[], void> {
  const messages = [...request.messages, { role: 'assistant' as const, content: begun }];
  if (await untilAborted(probe.continues(model), signal)) {
    try {
      return yield* chat({ ...request, think: false, messages });
    } catch (error) {
      if (!isPrefillRefused(error)) throw error;
      probe.refuse(model);
    }
  }
  const question = { role: 'user' as const, content: GO_ON };
  yield* chat({ ...request, think: false, messages: [...messages, question] });
}

/** Whether the model takes the last message of the request for the beginning of its answer. */
export const endsInPrefill = ({ messages }: ProviderRequest): boolean => messages.at(-1)?.role === 'assistant';

// The beginnings of llama.cpp's texts, which Ollama passes on; they come before any output.
const PREFILL_REFUSED = /Cannot have 2 or more assistant messages|Assistant response prefill is incompatible/;

const isPrefillRefused = (error: unknown): boolean =>
  error instanceof Error &&
  error.cause instanceof OllamaRefusal &&
  error.cause.status === 400 &&
  PREFILL_REFUSED.test(error.cause.message);
