import { randomBytes } from 'node:crypto';
import type { ChatRequest } from './chat-request.ts';
import { goJson, goTime } from './go-json.ts';
import type { Engine } from './host.ts';
import { hasCapability, type ScriptedModel } from './models.ts';
import type { Turn } from './script.ts';

export interface TurnOptions {
  readonly request: ChatRequest;
  readonly model: ScriptedModel;
  readonly numCtx: number;
  readonly promptTokens: number;
  readonly engine: Engine;
}

export const createTurn = ({ request, model, numCtx, promptTokens, engine }: TurnOptions): Turn => ({
  request,
  model,
  salt: randomBytes(4).toString('hex'),
  numCtx,
  promptTokens,
  engine,
  thinks: hasCapability(model, 'thinking') && request.think !== false && !continuesText(request, model),
  line: (fields) => `${goJson(envelope(request, fields))}\n`,
});

/** What stands around every line: the model as it was asked for, and the time. */
export const envelope = (request: ChatRequest, fields: Readonly<Record<string, unknown>>): Record<string, unknown> => ({
  model: request.model.replace(/:latest$/, ''),
  created_at: goTime(),
  ...fields,
});

/** The text of a trailing assistant message, or undefined when the turn is the model's own. */
export function prefillOf({ messages }: ChatRequest): string | undefined {
  const last = messages.at(-1);
  return last?.role === 'assistant' ? last.content : undefined;
}

/** Whether the model goes on with a text that was begun: then it does not think first. */
const continuesText = (request: ChatRequest, model: ScriptedModel): boolean =>
  prefillOf(request) !== undefined && model.prefill !== 'closes';
