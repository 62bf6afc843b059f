import { z } from 'zod';
import {
  apiKeys,
  count,
  folder,
  host,
  keepAlive,
  modelName,
  modelNames,
  ollamaUrls,
  oneOf,
  origins,
  proxies,
  redisUrl,
  seconds,
  span,
  systemPrompt,
  think,
  yesOrNo,
} from './config-values.ts';

/** What people are told about a setting: `.env.example` and the README's table are made from it. */
export interface SettingDescription {
  readonly group: 'Server' | 'Models' | 'Limits' | 'Storage' | 'Access';
  /** A sentence or more. */
  readonly about: string;
  /** Of the value as it is written: `seconds`, `tokens`, `bytes`. */
  readonly unit?: string;
  /** Worth showing where the default does not say enough. */
  readonly example?: string;
  /** As it would be written; absent where unset means something of its own, told by `about`. */
  readonly default?: string;
}

const descriptions = new Map<z.ZodType, SettingDescription>();

type Description = Omit<SettingDescription, 'default'>;

const setting = <Value>(schema: z.ZodType<Value, string>, defaultText: string, description: Description) => {
  const withDefault = schema.prefault(defaultText);
  descriptions.set(withDefault, { ...description, default: defaultText });
  return withDefault;
};

const optional = <Value>(schema: z.ZodType<Value, string>, description: Description) => {
  const withoutDefault = schema.optional();
  descriptions.set(withoutDefault, description);
  return withoutDefault;
};

const LEAST_SECONDS = 0.01;
const DAY_SECONDS = 86_400;
const clock = seconds({ least: LEAST_SECONDS, most: DAY_SECONDS });

/** The environment: every setting that works, with its default and what people are told about it. */
export const Environment = z.object({
  HOST: setting(host, '127.0.0.1', {
    group: 'Server',
    about: 'Address to listen on. Beyond this machine (0.0.0.0) the service wants API_KEYS.',
  }),
  PORT: setting(count({ least: 0, most: 65_535 }), '3000', {
    group: 'Server',
    about: 'Port to listen on; 0 takes any free one.',
  }),
  NODE_ENV: setting(oneOf(['development', 'production', 'test']), 'development', {
    group: 'Server',
    about: 'development, production or test. In production nothing stands in for a missing Ollama.',
    example: 'production',
  }),
  LOG_LEVEL: setting(oneOf(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']), 'info', {
    group: 'Server',
    about: 'How much is logged: fatal, error, warn, info, debug, trace or silent. Never what people said.',
    example: 'debug',
  }),
  MAX_PAYLOAD_BYTES: setting(count({ least: 1024, most: 104_857_600 }), '65536', {
    group: 'Server',
    about: 'Largest request body or WebSocket frame; raise it for images.',
    unit: 'bytes',
    example: '8388608',
  }),

  OLLAMA_BASE_URL: setting(ollamaUrls, 'http://localhost:11434', {
    group: 'Models',
    about: 'Where Ollama answers: up to 32 hosts, separated by commas. Each model is asked where it answers first.',
    example: 'http://192.168.1.20:11434,http://192.168.1.21:11434',
  }),
  LLM_MODEL: setting(modelName, 'llama3', {
    group: 'Models',
    about: 'Model that answers when a caller names none.',
    example: 'qwen3:4b',
  }),
  LLM_MODELS: optional(modelNames, {
    group: 'Models',
    about: 'Models that callers may name, separated by commas. LLM_MODEL is always one; unset, it is the only one.',
    example: 'llama3,qwen3:4b',
  }),
  LLM_SYSTEM_PROMPT: setting(systemPrompt({ most: 16_000 }), 'You are a helpful assistant.', {
    group: 'Models',
    about: 'System prompt of a conversation that brings none; at most 16000 characters.',
  }),
  LLM_TIMEOUT: setting(clock, '30', {
    group: 'Models',
    about: 'Longest silence of a loaded model: to the first token, and between tokens.',
    unit: 'seconds',
  }),
  LLM_LOAD_TIMEOUT: setting(clock, '300', {
    group: 'Models',
    about: 'Longest time a model may take to load.',
    unit: 'seconds',
  }),
  LLM_TURN_TIMEOUT: setting(clock, '600', {
    group: 'Models',
    about: 'Longest time a whole reply may take, retries included.',
    unit: 'seconds',
  }),
  LLM_MAX_RETRIES: setting(count({ least: 0, most: 20 }), '3', {
    group: 'Models',
    about: 'Further attempts after a failed first one, as long as nothing of the reply was shown.',
  }),
  LLM_MAX_TOKENS: setting(count({ least: 1, most: 1_000_000 }), '2048', {
    group: 'Models',
    about: 'Most that a caller may ask for as max_tokens.',
    unit: 'tokens',
  }),
  LLM_MAX_TURNS: setting(count({ least: 1, most: 10_000 }), '10', {
    group: 'Models',
    about: 'Most turns (a question and its answer) that are sent to the model; all are stored.',
  }),
  LLM_CONTEXT_WINDOW: setting(count({ least: 256, most: 10_000_000 }), '8192', {
    group: 'Models',
    about: "Window the model is loaded with (Ollama's num_ctx): prompt and answer together. More takes more memory.",
    unit: 'tokens',
    example: '32768',
  }),
  LLM_KEEP_ALIVE: setting(keepAlive, '30m', {
    group: 'Models',
    about: 'How long Ollama keeps the model loaded when idle: 30m, 1h30m, seconds, or -1 for ever.',
    example: '-1',
  }),
  LLM_PRELOAD: setting(yesOrNo, 'false', {
    group: 'Models',
    about: 'Loads LLM_MODEL at the start, on every host that has it, so that the first reply need not wait for it.',
    example: 'true',
  }),
  LLM_AUTO_PULL: setting(yesOrNo, 'false', {
    group: 'Models',
    about:
      'Downloads models of LLM_MODEL and LLM_MODELS that no host has, onto the first host that answers: LLM_MODEL at the start, the others when they are asked for. Replies wait for it.',
    example: 'true',
  }),
  LLM_THINK: setting(think, 'false', {
    group: 'Models',
    about:
      'Whether a model that can think does so when the caller does not say: true, false, low, medium, high or max.',
    example: 'true',
  }),
  LLM_SUMMARIZE: setting(yesOrNo, 'false', {
    group: 'Models',
    about:
      'Whether the turns that no longer fit are told to the model in short. It costs a further call of the model (up to 300 tokens) each time that a window fills up, and room for the summary in each prompt after it.',
    example: 'true',
  }),

  LLM_RATE_LIMIT: setting(count({ least: 1, most: 1_000_000 }), '10', {
    group: 'Limits',
    about: 'Requests of one caller in any 60 seconds, over all instances. A repeated request_id costs nothing.',
  }),
  LLM_MAX_CONCURRENT: setting(count({ least: 1, most: 10_000 }), '2', {
    group: 'Limits',
    about: 'Replies of one caller that wait or run at once, over all instances.',
  }),
  LLM_CONCURRENCY: setting(count({ least: 1, most: 1000 }), '1', {
    group: 'Limits',
    about: "Replies that a host makes at once: the same as Ollama's OLLAMA_NUM_PARALLEL. Of each instance by itself.",
  }),
  LLM_QUEUE_LIMIT: setting(count({ least: 0, most: 100_000 }), '32', {
    group: 'Limits',
    about: 'Requests that may wait for a host; more are refused at once. Of each instance by itself.',
  }),
  LLM_QUEUE_TIMEOUT: setting(clock, '120', {
    group: 'Limits',
    about: 'Longest time a request may wait for its turn.',
    unit: 'seconds',
  }),
  LLM_HOST_RATE: optional(count({ least: 1, most: 1_000_000 }), {
    group: 'Limits',
    about: 'Replies that a host may begin in a minute, of each instance by itself. Unset: as many as it can make.',
    example: '60',
  }),

  REDIS_URL: optional(redisUrl, {
    group: 'Storage',
    about:
      'Redis (one primary, or several nodes of a Cluster separated by commas) that instances share. Unset: one process, with a file of its own.',
    example: 'redis://localhost:6379',
  }),
  DATA_DIR: setting(folder, './data', {
    group: 'Storage',
    about: 'Folder of the database, made when it is missing. Without effect where there is a REDIS_URL.',
    example: '/var/lib/llm-chat-service',
  }),
  CONVERSATION_TTL: setting(span({ least: LEAST_SECONDS, most: 3650 * DAY_SECONDS }), '30d', {
    group: 'Storage',
    about: 'How long a conversation is kept after its last message: 30d, 12h, 90m, 45s, or seconds.',
    example: '90d',
  }),

  API_KEYS: setting(apiKeys, '', {
    group: 'Access',
    about:
      'Keys that callers must send, id.secret, separated by commas. The id owns the conversations; two keys may share one while you exchange them. Unset, nobody needs a key.',
    example: 'alice.<secret of at least 32 characters>',
  }),
  ALLOWED_ORIGINS: optional(origins, {
    group: 'Access',
    about:
      'Web pages that may use the service from a browser: exact origins, separated by commas. Unset: pages of this machine. The pages of the service itself always may, where their name cannot be faked.',
    example: 'https://chat.example.com',
  }),
  TRUST_PROXY: optional(proxies, {
    group: 'Access',
    about:
      "Proxies whose X-Forwarded-For tells the caller's address: IP addresses or CIDR ranges, separated by commas.",
    example: '10.0.0.0/8',
  }),
  ALLOW_ANONYMOUS: setting(yesOrNo, 'false', {
    group: 'Access',
    about: 'Lets the service listen beyond this machine without API_KEYS: whoever reaches it may use it.',
    example: 'true',
  }),
});

export type Environment = z.output<typeof Environment>;
export type SettingName = keyof Environment;

export const isSettingName = (name: string): name is SettingName => Object.hasOwn(Environment.shape, name);

/** In the order in which they are told. */
export const SETTING_NAMES: readonly SettingName[] = Object.keys(Environment.shape).filter(isSettingName);

/** What people are told about a setting. */
export const describeSetting = (name: SettingName): SettingDescription => {
  const description = descriptions.get(Environment.shape[name]);
  if (description === undefined) throw new Error(`${name} has no description`);
  return description;
};
