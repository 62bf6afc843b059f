import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { toFullModelName } from './conversation/model-name.ts';
import { findConflicts, findNameProblems } from './config-checks.ts';
import { Environment, SETTING_NAMES } from './config-settings.ts';

/** Names and texts as the process has them. */
export type Variables = Readonly<Record<string, string | undefined>>;

/** The settings, checked. Times are in milliseconds. Of a key it holds only the digest, in a private field. */
export type Config = Readonly<ReturnType<typeof toConfig>>;

/** The settings cannot be used. `problems` has one line for each mistake, none of which shows a secret. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    const heading = problems.length === 1 ? 'One setting is wrong:' : `${problems.length} settings are wrong:`;
    super([heading, ...problems.map((problem) => `  - ${problem}`)].join('\n'));
    this.problems = problems;
  }
}

/**
 * Reads the settings. An empty value counts as unset; names that are not ours are left alone, but for `LLM_…`.
 * @throws ConfigError with all mistakes at once
 */
export const parseConfig = (variables: Variables): Config => {
  const given = withoutEmpty(variables);
  const { values, problems } = parseEach(given);
  const all = [...findNameProblems(Object.keys(given)), ...problems, ...findConflicts(values)];
  if (all.length > 0 || !isComplete(values)) throw new ConfigError(all);
  return toConfig(values);
};

/**
 * The variables of the process and, behind them, those of `.env` in the folder `cwd`; there need not be one.
 * @throws ConfigError when there is a `.env` that cannot be read
 */
export const loadEnvironment = (cwd: string, variables: Variables = process.env): Variables => ({
  ...readEnvironmentFile(join(cwd, '.env')),
  ...withoutEmpty(variables), // what is empty is unset, so it does not hide what the file says
});

const withoutEmpty = (variables: Variables): Record<string, string> =>
  Object.fromEntries(
    Object.entries(variables).flatMap(([name, text]) => (text?.trim() ? [[name, text.trim()] as const] : [])),
  );

/** Each setting by itself, so that those that are right can still be held against each other. */
const parseEach = (given: Record<string, string>): { values: Partial<Environment>; problems: readonly string[] } => {
  const values: Partial<Environment> = {};
  const problems: string[] = [];
  for (const name of SETTING_NAMES) {
    const result = Environment.shape[name].safeParse(given[name]);
    if (result.success) Object.assign(values, { [name]: result.data });
    else problems.push(...result.error.issues.map((issue) => `${name} ${issue.message}.`));
  }
  return { values, problems };
};

const isComplete = (values: Partial<Environment>): values is Environment =>
  SETTING_NAMES.every((name) => name in values);

const toConfig = (values: Environment) => ({
  /** Address to listen on. */
  host: values.HOST,
  /** 0 is any free port. */
  port: values.PORT,
  nodeEnv: values.NODE_ENV,
  logLevel: values.LOG_LEVEL,
  maxPayloadBytes: values.MAX_PAYLOAD_BYTES,

  /** One or more, each without a slash at its end. They may hold `user:password@`: not to be printed. */
  ollamaBaseUrls: values.OLLAMA_BASE_URL,
  /** What answers when a caller names no model. */
  model: values.LLM_MODEL,
  /** What callers may name; begins with `model`, none twice. */
  models: toModels(values.LLM_MODEL, values.LLM_MODELS ?? []),
  systemPrompt: values.LLM_SYSTEM_PROMPT,
  /** Silence of a loaded model. */
  timeoutMs: values.LLM_TIMEOUT,
  loadTimeoutMs: values.LLM_LOAD_TIMEOUT,
  /** The whole reply. */
  turnTimeoutMs: values.LLM_TURN_TIMEOUT,
  /** Attempts after the first. */
  maxRetries: values.LLM_MAX_RETRIES,
  /** The most that a caller may ask for. */
  maxTokens: values.LLM_MAX_TOKENS,
  maxTurns: values.LLM_MAX_TURNS,
  /** Tokens. */
  contextWindow: values.LLM_CONTEXT_WINDOW,
  /** As Ollama takes it: seconds (-1 is for ever) or a Go duration. */
  keepAlive: values.LLM_KEEP_ALIVE,
  /** Whether `model` is loaded at the start. */
  preload: values.LLM_PRELOAD,
  /** Whether models that no host has are downloaded. */
  autoPull: values.LLM_AUTO_PULL,
  think: values.LLM_THINK,
  /** Whether what is left out of the prompts is told in short. */
  summarize: values.LLM_SUMMARIZE,

  /** Requests of one caller in any minute. */
  rateLimit: values.LLM_RATE_LIMIT,
  /** Replies of one caller that wait or run. */
  maxConcurrent: values.LLM_MAX_CONCURRENT,
  /** Replies that a host makes at once. */
  concurrency: values.LLM_CONCURRENCY,
  queueLimit: values.LLM_QUEUE_LIMIT,
  queueTimeoutMs: values.LLM_QUEUE_TIMEOUT,
  /** Replies that a host may begin in a minute; undefined: any number. */
  hostRate: values.LLM_HOST_RATE,

  /** May hold a password: not to be printed. */
  redisUrl: values.REDIS_URL,
  dataDir: values.DATA_DIR,
  conversationTtlMs: values.CONVERSATION_TTL,

  /** Empty: nobody needs a key. */
  apiKeys: values.API_KEYS,
  /** As browsers send them; undefined: pages of this machine. */
  allowedOrigins: values.ALLOWED_ORIGINS,
  /** Addresses and CIDR ranges; empty: nobody's X-Forwarded-For counts. */
  trustProxy: values.TRUST_PROXY ?? [],
  allowAnonymous: values.ALLOW_ANONYMOUS,
});

/** `llama3` and `llama3:latest` are one model to Ollama: the first of them is kept. */
const toModels = (model: string, others: readonly string[]): readonly string[] => [
  model,
  ...others.filter(
    (name, index) => ![model, ...others.slice(0, index)].map(toFullModelName).includes(toFullModelName(name)),
  ),
];

const readEnvironmentFile = (path: string): Variables => {
  try {
    const text = readFileSync(path, 'utf8').replace(/^\uFEFF/, '');
    if (text.includes('\0')) throw new ConfigError([`${path} is not UTF-8 text: save it again as UTF-8.`]);
    return parseEnv(text);
  } catch (error) {
    if (isMissing(error)) return {};
    if (error instanceof ConfigError) throw error;
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
    throw new ConfigError([`${path} cannot be read${code}: it must be a text file that this user may read.`]);
  }
};

const isMissing = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT';
