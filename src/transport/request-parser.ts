import type { z } from 'zod';
import { InvalidRequestError, UnsupportedError } from '../errors.ts';
import { toChatRequest, type ChatRequest, type GenerateOptions } from '../chat/chat-request.ts';
import type { LLMRequest } from '../protocol/client-events.ts';
import type { GenerationOptions } from '../protocol/fields.ts';
import type { GenerateResponseBody } from '../protocol/rest.ts';
import type { Asker } from './door.ts';

/** What is announced but does not work yet is refused by name, and never ignored. */
const NOT_YET = ['tools', 'flow'] as const;

/** @throws UnsupportedError when `value` asks for what this version cannot do */
export const refuseUnsupported = (value: unknown): void => {
  if (typeof value !== 'object' || value === null) return;
  const field = NOT_YET.find((name) => name in value);
  if (field)
    throw new UnsupportedError(
      `This version of the service does not support ${JSON.stringify(field)}. Ask without it.`,
    );
};

/** Every mistake in one sentence, each with its place. */
export const toInvalidRequest = (issues: readonly z.core.$ZodIssue[], where = ''): InvalidRequestError =>
  new InvalidRequestError(issues.flatMap((issue) => describeIssue(issue, where)).join('; ') + '.');

const describeIssue = (issue: z.core.$ZodIssue, where: string): readonly string[] => {
  const path = [where, ...issue.path.map(String)].filter(Boolean).join('.');
  const place = path && `${path}: `;
  switch (issue.code) {
    case 'unrecognized_keys':
      return [`${place}unknown field ${issue.keys.map((key) => JSON.stringify(key)).join(', ')}`];
    case 'invalid_union':
      return describeUnion(issue, path);
    default:
      return [place + issue.message];
  }
};

/** Of a value that may have several shapes: what keeps it from the one that it is nearest to. */
const describeUnion = ({ errors, message }: z.core.$ZodIssueInvalidUnion, path: string): readonly string[] => {
  const branches = errors.map((issues) => issues.flatMap((issue) => describeIssue(issue, path)));
  const nearest = Math.min(...branches.map((mistakes) => mistakes.length));
  const [first, ...others] = branches.filter((mistakes) => mistakes.length === nearest);
  if (first === undefined) return [path ? `${path}: ${message}` : message];
  return others.length === 0 ? first : [[first, ...others].map((mistakes) => mistakes.join(' and ')).join(', or ')];
};

type Options = Partial<GenerationOptions>;

/** The wire's options in the service's words. */
const toOptions = (options: Options): GenerateOptions => ({
  ...defined({
    maxTokens: options.max_tokens,
    temperature: options.temperature,
    topP: options.top_p,
    topK: options.top_k,
    minP: options.min_p,
    seed: options.seed,
    stop: options.stop,
    presencePenalty: options.presence_penalty,
    frequencyPenalty: options.frequency_penalty,
    repeatPenalty: options.repeat_penalty,
  }),
});

type RequestFields = Pick<
  LLMRequest,
  | 'request_id'
  | 'metadata'
  | 'model'
  | 'system_prompt'
  | 'think'
  | 'format'
  | 'images'
  | 'if_busy'
  | 'continue'
  | 'regenerate'
  | 'edit'
>;

const toFields = (fields: RequestFields): GenerateOptions => ({
  ...defined({
    requestId: fields.request_id,
    metadata: fields.metadata,
    model: fields.model,
    systemPrompt: fields.system_prompt,
    think: fields.think,
    format: fields.format,
    images: fields.images,
    ifBusy: fields.if_busy,
    continue: fields.continue,
    regenerate: fields.regenerate,
    edit: fields.edit,
  }),
});

/** The same request, whichever wire it came over. */
export const fromSocket = (request: LLMRequest, asker: Asker): ChatRequest =>
  toChatRequest(request.conversation_id, request.message ?? '', {
    ...asker,
    ...toOptions(request.options),
    ...toFields(request),
  });

export const fromRest = (body: GenerateResponseBody, asker: Asker): ChatRequest =>
  toChatRequest(body.conversation_id, body.user_input ?? '', { ...asker, ...toOptions(body), ...toFields(body) });

type Defined<T> = { [Key in keyof T]: Exclude<T[Key], undefined> };

/** Without the keys whose value is undefined. */
const defined = <T extends object>(values: T): Partial<Defined<T>> =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<Defined<T>>; // what was filtered out is what the type leaves out
