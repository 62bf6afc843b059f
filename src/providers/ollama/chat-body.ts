import type { ProviderRequest, SamplingOptions, Think } from '../provider.ts';
import type { OllamaModel } from './model-catalog.ts';
import { toBaseModelName } from '../../conversation/model-name.ts';

/** A number of seconds, or a duration as Go writes it (`30m`); below zero is for ever. */
export type KeepAlive = string | number;

/**
 * What makes Ollama load a model anew when it differs from the running one: the same in every request to a model,
 * loading included, and never a caller's. `shift` counts since v0.30.
 */
export const toLoadOptions = (model: OllamaModel, keepAlive: KeepAlive) => ({
  model: model.name,
  keep_alive: toKeepAlive(keepAlive),
  shift: false,
  options: { num_ctx: model.contextWindow },
});

/** The body of `POST /api/chat`, as JSON. `truncate: false` makes a prompt that is too long an error one can see. */
export const toChatBody = (request: ProviderRequest, model: OllamaModel, keepAlive: KeepAlive): string => {
  const load = toLoadOptions(model, keepAlive);
  return JSON.stringify({
    ...load,
    stream: true,
    truncate: false,
    think: toThink(request.think, model),
    ...(request.format === undefined ? {} : { format: request.format }),
    options: { ...load.options, num_predict: request.maxTokens, ...toSampling(request.sampling) },
    messages: request.messages.map(({ role, content, images }) => ({
      role,
      content,
      ...(images && images.length > 0 ? { images } : {}),
    })),
  });
};

/**
 * Always explicit, since absent means ON where the model can think. gpt-oss knows levels only, and is never
 * quite off; a model that cannot think takes `false` and refuses everything else.
 */
const toThink = (think: Think, model: OllamaModel): Think => {
  if (think === false || !model.capabilities.includes('thinking')) return toNoThinking(model);
  return think === 'max' && isGptOss(model) ? 'high' : think;
};

/** As little thinking as the model knows. */
export const toNoThinking = (model: OllamaModel): false | 'low' =>
  model.capabilities.includes('thinking') && isGptOss(model) ? 'low' : false;

const isGptOss = ({ name, family }: OllamaModel): boolean => family === 'gptoss' || toBaseModelName(name) === 'gpt-oss';

// A key with `undefined` is left out by JSON.stringify: the model's own default counts.
const toSampling = (sampling: SamplingOptions) => ({
  temperature: sampling.temperature,
  top_p: sampling.topP,
  top_k: sampling.topK,
  min_p: sampling.minP,
  seed: sampling.seed,
  stop: sampling.stop,
  presence_penalty: sampling.presencePenalty,
  frequency_penalty: sampling.frequencyPenalty,
  repeat_penalty: sampling.repeatPenalty,
});

/** Go takes `"300"` for a mistake and `300` for seconds. */
const toKeepAlive = (keepAlive: KeepAlive): KeepAlive =>
  typeof keepAlive === 'string' && /^-?\d+$/.test(keepAlive) ? Number(keepAlive) : keepAlive;
