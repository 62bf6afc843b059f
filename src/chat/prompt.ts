import { ContextLengthExceededError, UnsupportedError } from '../errors.ts';
import type { StoredMessage } from '../conversation/message.ts';
import type { ContextEvent } from '../conversation/reply-event.ts';
import type { TokenCalibration } from '../conversation/token-calibration.ts';
import { planSummary, toSystemText } from '../conversation/short-history.ts';
import { fitWindow, toBudget, type Window } from '../conversation/window.ts';
import type { Part, PromptMessage, ProviderRequest, Route, Think } from '../providers/provider.ts';
import type { SourcePart } from '../replies/reply-writer.ts';
import type { Conversation, Cut, Summary } from '../stores/chat-store.ts';
import { toPosition, type Asked } from './asked.ts';
import type { ChatRequest, CheckedRequest } from './chat-request.ts';
import type { ChosenModel } from './model-directory.ts';
import type { RoutedSource } from './turn.ts';

export interface PromptPolicy {
  readonly maxTurns: number;
  /** Where neither request nor conversation gives one. */
  readonly systemPrompt: string;
  readonly think: Think;
}

export interface PromptInput {
  readonly request: CheckedRequest;
  readonly conversation: Conversation | undefined;
  readonly asked: Asked;
  readonly model: ChosenModel;
  readonly policy: PromptPolicy;
  readonly calibration: TokenCalibration;
}

/** What one reply's model is asked: fitted into its window, and fitted anew where the estimate was too low. */
export class Prompt {
  readonly #input: PromptInput;
  readonly #systemPrompt: string;
  #window: Window;

  /** @throws ContextLengthExceededError when it cannot fit, with the numbers */
  constructor(input: PromptInput) {
    this.#input = input;
    this.#systemPrompt = toSystemPrompt(input);
    this.#window = this.#fit();
  }

  get cut(): Cut {
    return this.#window.cut;
  }

  /** What is sent of what was said before. */
  get history(): readonly StoredMessage[] {
    return this.#window.messages;
  }

  get estimatedTokens(): number {
    return this.#window.estimatedTokens;
  }

  /** Whether what was said, with this answer, fills the window so far that it is to be summed up. */
  isFilling(answer: string): boolean {
    const { request, asked, model, policy, conversation } = this.#input;
    const said = [
      { role: 'user', ...asked.question, position: Number.POSITIVE_INFINITY },
      { role: 'assistant', content: answer, position: Number.POSITIVE_INFINITY },
    ] as const;
    const plan = planSummary({
      systemPrompt: this.#systemPrompt,
      messages: [...this.history, ...said],
      summaries: usableSummaries(conversation, asked),
      cutPosition: this.cut.position,
      budget: toBudget({ contextWindow: model.info.contextWindow, maxTokens: request.maxTokens }) / this.#correction,
      maxTurns: policy.maxTurns,
    });
    return plan !== undefined;
  }

  /** The backend's own count corrects later estimates. */
  learn(measured: number): void {
    this.#input.calibration.learn(this.#input.model.name, this.#window.rawTokens, measured);
  }

  /** What the reply is written from. */
  readonly source: RoutedSource = (signal, route) => this.#stream(signal, route);

  async *#stream(signal: AbortSignal, route: Route | undefined): AsyncGenerator<readonly SourcePart[], void> {
    const { asked, model } = this.#input;
    const { provider } = model;
    if (this.cut.droppedTurns > 0) yield [this.#toContextEvent()];
    try {
      yield* goOn(asked, provider.stream(this.#toProviderRequest(route), signal));
    } catch (error) {
      if (!(error instanceof ContextLengthExceededError) || !this.#refit()) throw error;
      yield [this.#toContextEvent()];
      yield* goOn(asked, provider.stream(this.#toProviderRequest(route), signal));
    }
  }

  /** The backend says that the prompt is too long: cuts harder; false when there is nothing left to cut. */
  #refit(): boolean {
    const { calibration, model } = this.#input;
    const before = this.#window;
    if (before.keptTurns === 0) return false;
    calibration.learnOverflow(model.name, before.rawTokens, model.info.contextWindow);
    try {
      // One turn less than there were is a reason to cut, whatever the estimate says.
      this.#window = this.#fit(before.keptTurns);
      return true;
    } catch {
      return false; // the backend's own refusal says the same
    }
  }

  get #correction(): number {
    const { calibration, model } = this.#input;
    return calibration.correction(model.name);
  }

  #fit(maxTurns = this.#input.policy.maxTurns): Window {
    const { request, conversation, asked, model } = this.#input;
    const window = fitWindow({
      systemPrompt: this.#systemPrompt,
      messages: asked.history,
      question: asked.question,
      ...(asked.prefill !== undefined && { prefill: asked.prefill }),
      cut: asked.cut,
      summaries: usableSummaries(conversation, asked),
      contextWindow: model.info.contextWindow,
      maxTokens: request.maxTokens,
      maxTurns,
      correction: this.#correction,
    });
    if (window.type === 'fits') return window;
    const [what, advice] =
      asked.prefill === undefined
        ? ['The message has', 'Shorten it, or ask with a smaller max_tokens.']
        : ['The question and its answer so far have', 'Ask with a smaller max_tokens, or a new question.'];
    throw new ContextLengthExceededError(
      `${what} about ${window.estimatedTokens} tokens with the system prompt; ${Math.max(0, window.budget)} fit ` +
        `(window ${model.info.contextWindow}, less max_tokens ${request.maxTokens} and a margin). ${advice}`,
    );
  }

  #toContextEvent(): ContextEvent {
    return {
      type: 'context',
      droppedTurns: this.cut.droppedTurns,
      keptTurns: this.#window.keptTurns,
      estimatedTokens: this.#window.estimatedTokens,
      contextWindow: this.#input.model.info.contextWindow,
    };
  }

  #toProviderRequest(route: Route | undefined): ProviderRequest {
    const { request, asked, model } = this.#input;
    const { content, images } = asked.question;
    const system = toSystemText(this.#systemPrompt, this.#window.summary);
    return {
      model: model.name,
      messages: [
        ...(system ? [{ role: 'system', content: system } as const] : []),
        ...this.#window.messages.map(toPromptMessage),
        { role: 'user', content, ...(images.length > 0 && { images }) },
      ],
      maxTokens: request.maxTokens,
      sampling: request.sampling,
      think: toThink(this.#input),
      ...(request.format !== undefined && { format: request.format }),
      contextWindow: model.info.contextWindow,
      ...(route && { route }),
      ...(asked.prefill !== undefined && { prefill: asked.prefill }),
    };
  }
}

/**
 * What a missing model can do is not known yet: its host says so when it is asked.
 * `images` are the question's: of the request, or of the message that is answered again.
 * @throws UnsupportedError when the model cannot do what the request asks for
 */
export const checkCapabilities = (
  { think, continue: continued }: ChatRequest,
  images: readonly string[],
  { name, info, isFallback }: ChosenModel,
): void => {
  if (info.isMissing) return;
  if (think !== undefined && think !== false && !info.capabilities.includes('thinking')) {
    throw new UnsupportedError(`The model ${name} cannot think aloud. Ask without think, or choose another model.`);
  }
  if (images.length > 0 && !info.capabilities.includes('vision')) {
    throw new UnsupportedError(`The model ${name} cannot see images. Ask without them, or choose another model.`);
  }
  if (continued !== undefined && isFallback) {
    throw new UnsupportedError(`${name} cannot go on with an answer. Ask with regenerate, or when a model is there.`);
  }
};

/** A request's own prompt counts only where no turn has been made with another. */
const toSystemPrompt = ({ request, conversation, policy }: PromptInput): string =>
  (conversation?.messageCount ? conversation.systemPrompt : (request.systemPrompt ?? conversation?.systemPrompt)) ??
  policy.systemPrompt;

/** Where an earlier message is asked again, what sums it up is told to nobody any more. */
const usableSummaries = (conversation: Conversation | undefined, { place }: Asked): readonly Summary[] => {
  const end = toPosition(place);
  return (conversation?.summaries ?? []).filter(({ position }) => position < end);
};

/** Structured answers are made without thinking: a thinking model's constraint may otherwise never begin. */
const toThink = ({ request, asked, model, policy }: PromptInput): Think => {
  if (asked.prefill !== undefined) return false; // what goes on has been thought about
  if (request.think !== undefined) return request.think;
  if (request.format !== undefined || !model.info.capabilities.includes('thinking')) return false;
  return policy.think;
};

/**
 * Puts the answer so far before the first word that is new: an attempt that comes to nothing leaves the log empty, and
 * so the message as it is.
 */
async function* goOn(
  { prefill, thinking }: Asked,
  said: AsyncIterable<readonly Part[]>,
): AsyncGenerator<readonly SourcePart[], void> {
  let isNew = prefill !== undefined;
  for await (const parts of said) {
    if (isNew && prefill !== undefined && parts.some(({ type }) => type !== 'status')) {
      isNew = false;
      yield [{ type: 'text-so-far', text: prefill, ...(thinking !== undefined && { thinking }) }];
    }
    yield parts;
  }
}

export const toPromptMessage = (message: StoredMessage): PromptMessage => ({
  role: message.role,
  content: message.content,
  ...(message.role === 'user' && message.images && { images: message.images }),
});
