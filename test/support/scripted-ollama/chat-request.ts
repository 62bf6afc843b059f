import { goKind, parseAsGo } from './go-decoding.ts';
import { HttpRefusal } from './http-refusal.ts';
import { type Fields, isFields } from './records.ts';
import { checkFields } from './request-fields.ts';

/** A message as Ollama takes it. */
export interface WireMessage {
  readonly role: string;
  readonly content: string;
  readonly thinking?: string;
  readonly images?: readonly string[];
  readonly tool_calls?: readonly unknown[];
  readonly tool_name?: string;
  readonly tool_call_id?: string;
}

/** The body of `/api/chat`, decoded; what was left out has Ollama's default. */
export interface ChatRequest {
  readonly model: string;
  readonly messages: readonly WireMessage[];
  readonly stream: boolean;
  readonly think: boolean | string | undefined;
  readonly tools: readonly unknown[];
  readonly format: unknown;
  readonly options: Readonly<Record<string, unknown>>;
  /** Milliseconds, Infinity for ever; undefined leaves the runner's as it is. */
  readonly keepAliveMs: number | undefined;
  readonly truncate: boolean;
  readonly shift: boolean;
  readonly debugRenderOnly: boolean;
}

/** Decodes as Ollama's binding does; throws the refusal with Go's text. */
export function parseChatRequest(text: string): ChatRequest {
  if (text === '') throw new HttpRefusal(400, 'missing request body');
  const body = parseObject(text);
  checkFields(body);
  // The fields below were checked one by one in the line above.
  const { model = '', messages, tools, options, think, format } = body as Partial<ChatRequest>;
  return {
    model,
    messages: (messages ?? []).map(toMessage),
    stream: body['stream'] !== false,
    think: think ?? undefined,
    tools: tools ?? [],
    format: format === '' || format === null ? undefined : format,
    options: options ?? {},
    keepAliveMs: parseKeepAlive(body['keep_alive']),
    truncate: body['truncate'] !== false,
    shift: body['shift'] !== false,
    debugRenderOnly: body['_debug_render_only'] === true,
  };
}

/** The text that a marker may stand in: the last user message. */
export const lastUserText = (messages: readonly WireMessage[]): string =>
  messages.findLast((message) => message.role === 'user')?.content ?? '';

/** A whole-number option, or undefined when it was not sent. */
export function numberOption(request: ChatRequest, name: string): number | undefined {
  const value = request.options[name];
  return typeof value === 'number' ? Math.trunc(value) : undefined;
}

/** A body that is an object; throws Go's refusal of anything else. */
export function parseObject(text: string): Fields {
  const value = parseOrRefuse(text);
  if (isFields(value)) return value;
  throw new HttpRefusal(400, `json: cannot unmarshal ${goKind(value)} into Go value of type api.ChatRequest`);
}

function parseOrRefuse(text: string): unknown {
  try {
    return parseAsGo(text);
  } catch (error) {
    throw new HttpRefusal(400, error instanceof Error ? error.message : String(error));
  }
}

const toMessage = (message: WireMessage): WireMessage => ({
  ...message,
  role: (message.role ?? '').toLowerCase(), // a message without one is taken
  content: message.content ?? '', // null is the empty text
});

const MS_PER_UNIT: Readonly<Record<string, number>> = { ns: 1e-6, us: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

function parseKeepAlive(value: unknown): number | undefined {
  if (value === undefined || value === null) return undefined;
  const milliseconds = typeof value === 'number' ? value * 1000 : parseGoDuration(value);
  return milliseconds < 0 ? Infinity : milliseconds;
}

function parseGoDuration(value: unknown): number {
  if (typeof value !== 'string') throw new HttpRefusal(400, `keep_alive must be a number or a string`);
  const [, sign, parts = ''] = /^(-?)((?:\d+(?:\.\d+)?(?:ns|us|ms|s|m|h))+)$/.exec(value) ?? [];
  if (value === '0') return 0;
  if (parts === '' && /^-?[\d.]+$/.test(value)) {
    throw new HttpRefusal(400, `time: missing unit in duration ${JSON.stringify(value)}`);
  }
  if (parts === '') throw new HttpRefusal(400, `time: invalid duration ${JSON.stringify(value)}`);
  const terms = [...parts.matchAll(/(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)/g)];
  const sum = terms.reduce((total, [, number, unit = 's']) => total + Number(number) * (MS_PER_UNIT[unit] ?? 0), 0);
  return sign === '-' ? -sum : sum;
}
