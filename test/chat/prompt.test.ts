import { describe, expect, it } from 'vitest';
import type { Asked } from '../../src/chat/asked.ts';
import { checkChatRequest, toChatRequest, type GenerateOptions } from '../../src/chat/chat-request.ts';
import { checkCapabilities, Prompt } from '../../src/chat/prompt.ts';
import { TokenCalibration } from '../../src/conversation/token-calibration.ts';
import type { ModelInfo, Think } from '../../src/providers/provider.ts';
import type { SourcePart } from '../../src/replies/reply-writer.ts';
import { finish, say, ScriptedProvider } from '../support/scripted-provider.ts';

const GOING_ON: Asked = {
  history: [],
  cut: { position: 0, droppedTurns: 0 },
  question: { content: 'Count', images: [] },
  prefill: 'One two ',
  place: { type: 'grown', messageId: 'm1', position: 2, questionPosition: 1, requestId: 'r1', model: 'm', endedAt: 0 },
};

const info = (name: string, more: Partial<ModelInfo> = {}): ModelInfo => ({
  name,
  provider: 'scripted',
  loaded: true,
  contextWindow: 1_000,
  capabilities: ['completion', 'thinking'],
  ...more,
});

const build = (asked: Asked, { think = true, ...options }: GenerateOptions & { readonly think?: Think } = {}) => {
  const provider = new ScriptedProvider();
  const request = checkChatRequest(toChatRequest('c1', '', { continue: 'm1', ...options }), { maxTokens: 2_048 });
  const prompt = new Prompt({
    request,
    conversation: undefined,
    asked,
    model: { provider, name: 'scripted', info: info('scripted'), isFallback: false },
    policy: { maxTurns: 10, systemPrompt: 'Be brief.', think },
    calibration: new TokenCalibration(),
  });
  return { provider, prompt };
};

describe('the prompt of a reply that goes on with another', () => {
  it('ends with the question; the answer so far is given beside it, and nothing is thought', async () => {
    const { provider, prompt } = build(GOING_ON);
    provider.send(say('three.'), finish());
    provider.end();
    const parts: SourcePart[] = [];
    for await (const read of prompt.source(new AbortController().signal)) parts.push(...read);
    expect(provider.requests).toMatchObject([
      {
        messages: [
          { role: 'system', content: 'Be brief.' },
          { role: 'user', content: 'Count' },
        ],
        prefill: 'One two ',
        think: false,
      },
    ]);
    expect(parts.slice(0, 2)).toEqual([{ type: 'text-so-far', text: 'One two ' }, say('three.')]);
  });

  it('counts the answer so far', () => {
    const { prefill: _prefill, ...asked } = GOING_ON;
    expect(build(GOING_ON).prompt.estimatedTokens).toBe(build(asked).prompt.estimatedTokens + 7);
  });

  it('is refused with the numbers when question and answer do not fit', () => {
    expect(() => build({ ...GOING_ON, prefill: 'word '.repeat(800) })).toThrow(
      /answer so far have about \d{4} tokens with the system prompt; 450 fit \(window 1000, less max_tokens 500/,
    );
  });

  it('is not for what stands in until there is a model', () => {
    const request = toChatRequest('c1', '', { continue: 'm1' });
    const model = { provider: new ScriptedProvider(), name: 'eliza', info: info('eliza'), isFallback: true };
    expect(() => checkCapabilities(request, [], model)).toThrow(/eliza cannot go on with an answer/);
    expect(() => checkCapabilities(request, [], { ...model, isFallback: false })).not.toThrow();
  });
});
