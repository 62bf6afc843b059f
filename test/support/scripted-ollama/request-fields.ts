import { goKind } from './go-decoding.ts';
import { HttpRefusal } from './http-refusal.ts';
import { type Fields, fieldsOf, isFields } from './records.ts';

/** The options that Ollama knows, by the type that its refusal names; others pass with a warning in its log. */
const OPTION_TYPES: Readonly<Record<string, readonly string[]>> = {
  integer: 'num_keep seed num_predict top_k repeat_last_n num_ctx num_batch num_gpu main_gpu num_thread'.split(' '),
  float32: 'top_p min_p typical_p temperature repeat_penalty presence_penalty frequency_penalty'.split(' '),
};

/** Refuses with 400 what Go's decoder would refuse in the body of `/api/chat`. */
export function checkFields(body: Fields): void {
  checkType(body['model'], 'model', 'string');
  checkType(body['stream'], 'stream', 'bool');
  checkThink(body['think']);
  for (const message of listAt(body, 'messages', '[]api.Message')) checkMessage(message);
  listAt(body, 'tools', 'api.Tools');
  if (!isFields(body['options'] ?? {})) throw wrongType(body['options'], 'options', 'map[string]interface {}');
  checkTopLogprobs(body['top_logprobs'] ?? 0);
}

/** Refuses with 500 an option of the wrong type, as Ollama does when it builds the runner's options. */
export function checkOptions(options: Fields): void {
  for (const [type, names] of Object.entries(OPTION_TYPES)) {
    for (const name of names) {
      if (typeof (options[name] ?? 0) !== 'number')
        throw new HttpRefusal(500, `option "${name}" must be of type ${type}`);
    }
  }
  const stop = options['stop'] ?? [];
  if (!Array.isArray(stop)) throw new HttpRefusal(500, 'option "stop" must be of type array');
}

function checkMessage(message: unknown): void {
  if (!isFields(message)) throw wrongType(message, 'messages', 'api.Message');
  checkType(message['role'], 'messages.role', 'string');
  checkType(message['content'], 'messages.content', 'string');
  for (const image of listAt(message, 'images', '[]api.ImageData', 'messages.images')) checkBase64(image);
  for (const call of listOf(message['tool_calls'])) checkCall(call);
}

function checkThink(think: unknown): void {
  if (think === undefined || think === null || typeof think === 'boolean') return;
  if (typeof think !== 'string')
    throw new HttpRefusal(400, 'think must be a boolean or string ("high", "medium", "low", "max", true, or false)');
  if (['high', 'medium', 'low', 'max'].includes(think)) return;
  const text = `invalid think value: "${think}" (must be "high", "medium", "low", "max", true, or false)`;
  throw new HttpRefusal(400, text);
}

function checkBase64(image: unknown): void {
  if (typeof image !== 'string') throw wrongType(image, 'messages.images', '[]uint8');
  const wrong = image.search(/[^A-Za-z0-9+/=]/);
  if (wrong >= 0) throw new HttpRefusal(400, `illegal base64 data at input byte ${wrong}`);
}

function checkCall(call: unknown): void {
  const { arguments: given } = fieldsOf(fieldsOf(call)['function']);
  if (typeof given === 'string')
    throw new HttpRefusal(400, "Value looks like object, but can't find closing '}' symbol");
}

function checkTopLogprobs(value: unknown): void {
  if (typeof value !== 'number') throw wrongType(value, 'top_logprobs', 'int');
  if (value < 0 || value > 20) throw new HttpRefusal(400, 'top_logprobs must be between 0 and 20');
}

function checkType(value: unknown, path: string, type: 'string' | 'bool'): void {
  if (value !== undefined && value !== null && goKind(value) !== type) throw wrongType(value, path, type);
}

/** The list in a field, empty where there is none. */
function listAt(fields: Fields, name: string, type: string, path = name): readonly unknown[] {
  const value = fields[name] ?? [];
  if (!Array.isArray(value)) throw wrongType(value, path, type);
  return value;
}

const wrongType = (value: unknown, path: string, type: string): HttpRefusal =>
  new HttpRefusal(
    400,
    `json: cannot unmarshal ${goKind(value)} into Go struct field ChatRequest.${path} of type ${type}`,
  );

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
