import { InvalidOutputError } from '../errors.ts';
import { AnswerSchema } from './answer-schema.ts';
import type { Format, Part, Provider, ProviderRequest } from './provider.ts';

type Finish = Extract<Part, { type: 'finish' }>;

/**
 * Whether a format can be asked for and checked.
 * @throws InvalidRequestError when it is neither `json` nor a usable JSON Schema
 */
export const checkFormat = (format: Format): void => {
  if (format !== 'json') void new AnswerSchema(format);
};

/**
 * Checks an answer that was asked for in a format when it is whole, and before it is called finished: a backend may
 * ignore the format, and one that was cut off is no JSON. The deltas have been passed on by then. An answer without
 * any content is passed on as it is: it has a meaning of its own.
 */
export const withFormat = (provider: Provider): Provider => ({
  name: provider.name,
  stream: (request, signal) =>
    request.format === undefined
      ? provider.stream(request, signal)
      : checkStream(provider.stream(request, signal), { ...request, format: request.format }),
  findModel: (name) => provider.findModel(name),
  pull: provider.pull?.bind(provider),
  listModels: () => provider.listModels(),
  health: () => provider.health(),
});

async function* checkStream(
  stream: AsyncIterable<readonly Part[]>,
  { format }: ProviderRequest & { readonly format: Format },
): AsyncGenerator<readonly Part[], void> {
  const schema = format === 'json' ? undefined : new AnswerSchema(format);
  let content = '';
  for await (const parts of stream) {
    content += contentOf(parts);
    const finish = parts.find((part) => part.type === 'finish');
    const error = finish && content !== '' ? findFault(content, schema, finish) : undefined;
    if (error) yield* withoutFinish(parts);
    else yield parts;
    if (error) throw error;
  }
}

const contentOf = (parts: readonly Part[]): string =>
  parts.map((part) => (part.type === 'text-delta' && part.channel === 'content' ? part.text : '')).join('');

const withoutFinish = (parts: readonly Part[]): readonly (readonly Part[])[] => {
  const others = parts.filter((part) => part.type !== 'finish');
  return others.length > 0 ? [others] : [];
};

/** What is wrong, in general words: the answer itself is no part of a message. */
const findFault = (
  content: string,
  schema: AnswerSchema | undefined,
  finish: Finish,
): InvalidOutputError | undefined => {
  const parsed = parse(content);
  if (parsed) return schema && findMismatch(parsed.value, schema);
  const wasCut = finish.finishReason === 'length';
  const why = wasCut ? 'It was cut off: `max_tokens` was too small for it.' : 'Ask again, or ask another model.';
  return new InvalidOutputError(`The answer is not valid JSON. ${why}`);
};

const findMismatch = (value: unknown, schema: AnswerSchema): InvalidOutputError | undefined => {
  try {
    if (schema.isMetBy(value)) return undefined;
    return new InvalidOutputError(
      'The answer is valid JSON but does not meet the JSON Schema in `format`. Ask again, or make the schema simpler.',
    );
  } catch (error) {
    return new InvalidOutputError('The answer is too deeply nested to be checked against `format`.', { cause: error });
  }
};

/** Undefined when it is no JSON. What the parser complains of would quote the answer, so it is not kept. */
const parse = (content: string): { readonly value: unknown } | undefined => {
  try {
    return { value: JSON.parse(content) };
  } catch {
    return undefined;
  }
};
