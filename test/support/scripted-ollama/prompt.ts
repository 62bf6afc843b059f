import type { ChatRequest, WireMessage } from './chat-request.ts';
import { hasCapability, type ScriptedModel } from './models.ts';
import { prefillOf } from './turn.ts';

const TOKENS_PER_MESSAGE = 4;
const TOKENS_PER_IMAGE = 768; // Ollama's own estimate for a model with a projector

/** The length of a prompt: 4 tokens a message, a token for each `bytesPerToken` of text and tools, 768 an image. */
export function countPromptTokens({ messages, tools }: ChatRequest, model: ScriptedModel): number {
  const textTokens = (text: string) => Math.ceil(Buffer.byteLength(text) / model.bytesPerToken);
  const perImage = hasCapability(model, 'vision') ? TOKENS_PER_IMAGE : 0;
  const counts = messages.map(
    (message) => TOKENS_PER_MESSAGE + textTokens(textOf(message)) + perImage * (message.images?.length ?? 0),
  );
  return counts.reduce((sum, count) => sum + count, tools.length ? textTokens(JSON.stringify(tools)) : 0);
}

/** The prompt as `_debug_render_only` shows it: ChatML, a trailing assistant turn left open where the model goes on. */
export function renderPrompt(request: ChatRequest, model: ScriptedModel): string {
  const prefill = prefillOf(request);
  const isOpen = prefill !== undefined && model.prefill !== 'closes' && model.prefill !== 'refuses';
  const closed = isOpen ? request.messages.slice(0, -1) : request.messages;
  const turns = closed.map(({ role, content }) => `<|im_start|>${role}\n${content}<|im_end|>\n`).join('');
  return `${turns}<|im_start|>assistant\n${isOpen ? (model.prefill === 'trims' ? prefill.trim() : prefill) : ''}`;
}

const textOf = ({ content, tool_calls }: WireMessage): string =>
  content + (tool_calls?.length ? JSON.stringify(tool_calls) : '');
