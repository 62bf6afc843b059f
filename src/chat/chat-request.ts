import { hash } from 'node:crypto';
import { InvalidRequestError } from '../errors.ts';
import type { Metadata } from '../conversation/message.ts';
import { ANONYMOUS } from '../conversation/owner.ts';
import type { Format, SamplingOptions, Think } from '../providers/provider.ts';

const DEFAULT_MAX_TOKENS = 500;
const DEFAULT_TEMPERATURE = 0.7;

/** How a reply is wanted; what is absent takes its default. */
export interface GenerateOptions extends SamplingOptions {
  /** Whose conversation it is; `anonymous` by default. */
  readonly owner?: string;
  /** Who is limited; the owner by default. Where nobody has to say who they are, an address. */
  readonly caller?: string;
  /** The caller's own id for the request: repeating it attaches to the same reply. */
  readonly requestId?: string;
  /** Given back with the reply. */
  readonly metadata?: Metadata;
  readonly model?: string;
  /** Only with the conversation's first request. */
  readonly systemPrompt?: string;
  /** Tokens of the answer; 500 by default. */
  readonly maxTokens?: number;
  readonly think?: Think;
  readonly format?: Format;
  /** Base64, without a `data:` prefix. */
  readonly images?: readonly string[];
  /** What to do when a reply is running in the conversation; `reject` by default. */
  readonly ifBusy?: 'reject' | 'interrupt';
  /** The conversation's last reply, by its `messageId`: the model goes on with it. Without a question. */
  readonly continue?: string;
  /** A reply, by its `messageId`: its question is answered again. Without a question. */
  readonly regenerate?: string;
  /** A user's message, by its id: the question takes its place. */
  readonly edit?: string;
}

/** A request with its defaults in place. */
export interface ChatRequest {
  readonly owner: string;
  readonly caller?: string;
  readonly conversationId: string;
  readonly content: string;
  readonly requestId?: string;
  readonly metadata?: Metadata;
  readonly model?: string;
  readonly systemPrompt?: string;
  /** Tokens; absent is the default. */
  readonly maxTokens?: number;
  readonly sampling: SamplingOptions;
  readonly think?: Think;
  readonly format?: Format;
  readonly images: readonly string[];
  readonly ifBusy: 'reject' | 'interrupt';
  /** At most one of the three; `content` is empty with the first two. */
  readonly continue?: string;
  readonly regenerate?: string;
  readonly edit?: string;
}

export const toChatRequest = (
  conversationId: string,
  content: string,
  {
    owner,
    caller,
    maxTokens,
    images,
    ifBusy,
    requestId,
    metadata,
    model,
    systemPrompt,
    think,
    format,
    continue: continued,
    regenerate,
    edit,
    ...sampling
  }: GenerateOptions,
): ChatRequest => ({
  owner: owner ?? ANONYMOUS,
  conversationId,
  content,
  ...(caller !== undefined && { caller }),
  ...(requestId !== undefined && { requestId }),
  ...(metadata !== undefined && Object.keys(metadata).length > 0 && { metadata }),
  ...(model !== undefined && { model }),
  ...(systemPrompt !== undefined && { systemPrompt }),
  ...(think !== undefined && { think }),
  ...(format !== undefined && { format }),
  ...(maxTokens !== undefined && { maxTokens }),
  sampling: { ...sampling, temperature: sampling.temperature ?? DEFAULT_TEMPERATURE },
  images: images ?? [],
  ifBusy: ifBusy ?? 'reject',
  ...(continued !== undefined && { continue: continued }),
  ...(regenerate !== undefined && { regenerate }),
  ...(edit !== undefined && { edit }),
});

/** A request whose every default is in place, the service's own bound included. */
export type CheckedRequest = ChatRequest & { readonly maxTokens: number };

/**
 * Checks what no wire has checked: the bound of this service, and what a caller of the library may get wrong.
 * @throws InvalidRequestError naming the value and its range
 */
export const checkChatRequest = (request: ChatRequest, limits: { readonly maxTokens: number }): CheckedRequest => {
  const { conversationId, maxTokens = Math.min(DEFAULT_MAX_TOKENS, limits.maxTokens), sampling } = request;
  if (conversationId === '') throw new InvalidRequestError('conversation_id must not be empty.');
  checkQuestion(request);
  if (!Number.isInteger(maxTokens) || maxTokens < 1 || maxTokens > limits.maxTokens) {
    throw new InvalidRequestError(`max_tokens must be a whole number from 1 to ${limits.maxTokens} (LLM_MAX_TOKENS).`);
  }
  const temperature = sampling.temperature ?? DEFAULT_TEMPERATURE;
  if (!(temperature >= 0 && temperature <= 2)) throw new InvalidRequestError('temperature must be from 0 to 2.');
  return { ...request, maxTokens };
};

const checkQuestion = (request: ChatRequest): void => {
  const { content, images, format, think } = request;
  const [again, another] = (['continue', 'regenerate', 'edit'] as const).filter((name) => request[name] !== undefined);
  if (another !== undefined)
    throw new InvalidRequestError('A request has at most one of continue, regenerate and edit.');
  if (again === undefined || again === 'edit') {
    if (content !== '') return;
    throw new InvalidRequestError(
      'The message (over HTTP: user_input) must be there and not empty; only continue and regenerate need none.',
    );
  }
  if (content !== '')
    throw new InvalidRequestError(`${again} takes no message (over HTTP: user_input). Ask with edit to change one.`);
  if (images.length > 0)
    throw new InvalidRequestError(`${again} takes no images: the question has those that it was asked with.`);
  if (again === 'regenerate') return;
  if (format !== undefined)
    throw new InvalidRequestError('continue takes no format: half an answer cannot be checked. Ask with regenerate.');
  if (think !== undefined && think !== false)
    throw new InvalidRequestError('continue takes no think: the model goes on with what it has said.');
};

/** A digest of everything that makes a request what it is: a repeat must be the same in all of it. */
export const toFingerprint = ({
  owner: _owner,
  caller: _caller,
  requestId: _requestId,
  ifBusy: _ifBusy,
  ...body
}: ChatRequest): string => hash('sha256', JSON.stringify(body, sortKeys), 'base64url');

/** For `JSON.stringify`: the order in which a client wrote its keys does not matter. */
const sortKeys = (_key: string, value: unknown): unknown =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
    : value;
