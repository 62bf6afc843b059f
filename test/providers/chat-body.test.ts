import { describe, expect, it } from 'vitest';
import { toChatBody } from '../../src/providers/ollama/chat-body.ts';
import type { OllamaModel } from '../../src/providers/ollama/model-catalog.ts';
import type { ProviderRequest, Think } from '../../src/providers/provider.ts';
import { toRequest } from './ollama-rig.ts';

const plain: OllamaModel = {
  name: 'llama3:latest',
  digest: 'd',
  family: 'llama',
  contextWindow: 4096,
  trainedLength: 8192,
  capabilities: ['completion'],
};
const thinker: OllamaModel = { ...plain, name: 'qwen3:8b', family: 'qwen3', capabilities: ['completion', 'thinking'] };
const gptOss: OllamaModel = { ...thinker, name: 'gpt-oss:20b', family: 'gptoss' };

const bodyOf = (request: Partial<ProviderRequest>, model = plain, keepAlive: string | number = '30m'): unknown =>
  JSON.parse(toChatBody(toRequest(request), model, keepAlive));

describe('the body of a chat', () => {
  it('says everything that Ollama would otherwise decide by itself', () => {
    expect(bodyOf({ maxTokens: 100 })).toStrictEqual({
      model: 'llama3:latest',
      keep_alive: '30m',
      shift: false,
      truncate: false,
      stream: true,
      think: false,
      options: { num_ctx: 4096, num_predict: 100 },
      messages: [{ role: 'user', content: 'hello' }],
    });
  });

  it('has the sampling options under Ollama’s names', () => {
    const sampling = { temperature: 0, topP: 0.9, topK: 40, minP: 0.1, seed: 7, stop: ['END'] };
    const penalties = { presencePenalty: 0.1, frequencyPenalty: 0.2, repeatPenalty: 1.1 };
    expect(bodyOf({ sampling: { ...sampling, ...penalties } })).toMatchObject({
      options: { temperature: 0, top_p: 0.9, top_k: 40, min_p: 0.1, seed: 7, stop: ['END'] },
    });
    expect(bodyOf({ sampling: penalties })).toMatchObject({
      options: { presence_penalty: 0.1, frequency_penalty: 0.2, repeat_penalty: 1.1 },
    });
  });

  it('has the format, and images in base64', () => {
    const format = { type: 'object' };
    const messages = [{ role: 'user', content: 'what is this?', images: ['aGk='] }] as const;
    expect(bodyOf({ format, messages })).toMatchObject({ format, messages });
  });

  it('writes a keep-alive of bare digits as the number that Go wants', () => {
    expect(bodyOf({}, plain, '-1')).toMatchObject({ keep_alive: -1 });
    expect(bodyOf({}, plain, '1h30m')).toMatchObject({ keep_alive: '1h30m' });
  });

  it.each<[Think, OllamaModel, Think]>([
    [false, plain, false],
    [true, plain, false],
    ['high', plain, false],
    [false, thinker, false],
    [true, thinker, true],
    ['max', thinker, 'max'],
    [false, gptOss, 'low'],
    ['medium', gptOss, 'medium'],
    ['max', gptOss, 'high'],
    [false, { ...thinker, name: 'openai/GPT-OSS:120b', family: '' }, 'low'],
  ])('turns think %s, for a model such as %o, into %s', (think, model, expected) => {
    expect(bodyOf({ think }, model)).toMatchObject({ think: expected });
  });
});
