import { HttpRefusal } from './http-refusal.ts';
import { type Fields, fieldsOf, isFields } from './records.ts';

/** The options that Ollama knows, by the type that its refusal names; others pass with a warning in its log. */
const OPTION_TYPES: Readonly<Record<string, readonly string[]>> = {
  integer: 'num_keep seed num_predict top_k repeat_last_n num_ctx num_batch num_gpu main_gpu num_thread'.split(' '),
  float32: 'top_p min_p typical_p temperature repeat_penalty presence_penalty frequency_penalty'.split(' '),
};

/** Refuses with 400 what Go's decoder would refuse in the body of `/api/chat`. */
export function checkFields(body: Fields): void {
  checkType(body, 'model', 'string');
  checkType(body, 'stream', 'boolean');
  checkThink(body['think']);
  const messages = body['messages'] ?? [];
  if (!Array.isArray(messages)) throw refusal('cannot unmarshal object into Go struct field ChatRequest.messages');
  for (const message of messages) checkMessage(message);
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
  if (!isFields(message))
    throw refusal('cannot unmarshal into Go struct field ChatRequest.messages of type api.Message');
  checkType(message, 'role', 'string');
  checkType(message, 'content', 'string');
  for (const image of listOf(message['images'])) checkBase64(image);
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
  const wrong = typeof image === 'string' ? image.search(/[^A-Za-z0-9+/=]/) : 0;
  if (wrong >= 0) throw new HttpRefusal(400, `illegal base64 data at input byte ${wrong}`);
}

function checkCall(call: unknown): void {
  const { arguments: given } = fieldsOf(fieldsOf(call)['function']);
  if (typeof given === 'string')
    throw new HttpRefusal(400, "Value looks like object, but can't find closing '}' symbol");
}

function checkType(fields: Fields, name: string, type: 'string' | 'boolean'): void {
  const value = fields[name] ?? undefined;
  if (value === undefined || typeof value === type) return;
  const found = Array.isArray(value) ? 'array' : typeof value;
  throw refusal(
    `cannot unmarshal ${found} into Go struct field .${name} of type ${type === 'boolean' ? 'bool' : type}`,
  );
}

const refusal = (text: string): HttpRefusal => new HttpRefusal(400, `json: ${text}`);
const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
