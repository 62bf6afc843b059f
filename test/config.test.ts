import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConfigError, loadEnvironment, parseConfig } from '../src/config.ts';
import type { Variables } from '../src/config.ts';

const SECRET = 'Zm9vYmFyYmF6cXV4LXNlY3JldC1vZi0zMi1jaGFycw';
const KEY = `alice.${SECRET}`;

const problemsOf = (read: () => unknown): readonly string[] => {
  try {
    read();
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
};

const problemsWith = (variables: Variables): readonly string[] => problemsOf(() => parseConfig(variables));

describe('the configuration', () => {
  it('has a default for everything', () => {
    expect(parseConfig({})).toEqual({
      host: '127.0.0.1',
      port: 3000,
      nodeEnv: 'development',
      logLevel: 'info',
      maxPayloadBytes: 65_536,
      ollamaBaseUrls: ['http://localhost:11434'],
      model: 'llama3',
      models: ['llama3'],
      systemPrompt: 'You are a helpful assistant.',
      timeoutMs: 30_000,
      loadTimeoutMs: 300_000,
      turnTimeoutMs: 600_000,
      maxRetries: 3,
      maxTokens: 2048,
      maxTurns: 10,
      contextWindow: 8192,
      keepAlive: '30m',
      preload: false,
      autoPull: false,
      think: false,
      summarize: false,
      rateLimit: 10,
      maxConcurrent: 2,
      concurrency: 1,
      queueLimit: 32,
      queueTimeoutMs: 120_000,
      hostRate: undefined,
      redisUrl: undefined,
      dataDir: './data',
      conversationTtlMs: 30 * 24 * 60 * 60 * 1000,
      apiKeys: [],
      allowedOrigins: undefined,
      trustProxy: [],
      allowAnonymous: false,
    });
  });

  it('takes an empty value for an unset one', () => {
    const empty = { PORT: '', LLM_MODEL: '  ', API_KEYS: '', ALLOWED_ORIGINS: '', REDIS_URL: '', LLM_TIMOUT: '' };
    expect(parseConfig(empty)).toEqual(parseConfig({}));
  });

  it('leaves the variables of other programs alone', () => {
    expect(parseConfig({ PATH: '/bin', OLLAMA_HOST: '0.0.0.0', MY_LLM_X: '1' })).toEqual(parseConfig({}));
  });

  it.each([
    ['HOST', '::1', { host: '::1' }],
    ['HOST', 'localhost', { host: 'localhost' }],
    ['PORT', '0', { port: 0 }],
    ['OLLAMA_BASE_URL', 'https://gpu.example.com/ollama/', { ollamaBaseUrls: ['https://gpu.example.com/ollama'] }],
    ['OLLAMA_BASE_URL', 'http://user:pass@box:11434', { ollamaBaseUrls: ['http://user:pass@box:11434'] }],
    ['OLLAMA_BASE_URL', ' HTTP://Box:11434/ ', { ollamaBaseUrls: ['http://box:11434'] }],
    ['OLLAMA_BASE_URL', 'http://a:1/, http://b:1,', { ollamaBaseUrls: ['http://a:1', 'http://b:1'] }],
    ['LLM_PRELOAD', 'true', { preload: true }],
    ['LLM_MODEL', 'hf.co/some/Model-GGUF:Q4_K_M', { model: 'hf.co/some/Model-GGUF:Q4_K_M' }],
    ['LLM_MODELS', 'qwen3:4b, gemma3', { models: ['llama3', 'qwen3:4b', 'gemma3'] }],
    ['LLM_MODELS', 'gemma3,llama3:latest,gemma3', { models: ['llama3', 'gemma3'] }],
    ['LLM_TIMEOUT', '0.05', { timeoutMs: 50 }],
    ['REDIS_URL', 'redis://a:6379,redis://b:6379', { redisUrl: 'redis://a:6379,redis://b:6379' }],
    ['LLM_HOST_RATE', '60', { hostRate: 60 }],
    ['LLM_TURN_TIMEOUT', '30', { turnTimeoutMs: 30_000 }],
    ['LLM_MAX_RETRIES', '0', { maxRetries: 0 }],
    ['LLM_KEEP_ALIVE', '1h30m', { keepAlive: '1h30m' }],
    ['LLM_KEEP_ALIVE', '-1m', { keepAlive: '-1m' }],
    ['LLM_KEEP_ALIVE', '300', { keepAlive: 300 }],
    ['LLM_KEEP_ALIVE', '-1', { keepAlive: -1 }],
    ['LLM_KEEP_ALIVE', '0', { keepAlive: 0 }],
    ['LLM_THINK', 'true', { think: true }],
    ['LLM_THINK', 'max', { think: 'max' }],
    ['CONVERSATION_TTL', '12h', { conversationTtlMs: 43_200_000 }],
    ['CONVERSATION_TTL', '90m', { conversationTtlMs: 5_400_000 }],
    ['CONVERSATION_TTL', '45s', { conversationTtlMs: 45_000 }],
    ['CONVERSATION_TTL', '1.5', { conversationTtlMs: 1500 }],
    ['CONVERSATION_TTL', '30 d', { conversationTtlMs: 2_592_000_000 }],
    [
      'ALLOWED_ORIGINS',
      'HTTPS://Chat.Example.com:443, app://x',
      { allowedOrigins: ['https://chat.example.com', 'app://x'] },
    ],
    ['TRUST_PROXY', '10.0.0.0/8, ::1,192.168.1.1', { trustProxy: ['10.0.0.0/8', '::1', '192.168.1.1'] }],
  ])('reads %s=%s', (name, text, expected) => {
    expect(parseConfig({ [name]: text })).toMatchObject(expected);
  });
});

describe('a wrong setting', () => {
  it.each([
    ['HOST', 'localhost:3000', 'without a port'],
    ['HOST', '[::1]', 'such as 127.0.0.1 or ::1'],
    ['HOST', '256.0.0.1', 'must be an IP address'],
    ['PORT', '65536', 'from 0 to 65535'],
    ['PORT', '3e3', 'whole number'],
    ['PORT', '0x10', 'whole number'],
    ['NODE_ENV', 'staging', 'development, production or test'],
    ['LOG_LEVEL', 'loud', 'trace or silent'],
    ['MAX_PAYLOAD_BYTES', '10', 'from 1024'],
    ['OLLAMA_BASE_URL', 'localhost:11434', 'http://'],
    ['OLLAMA_BASE_URL', 'ftp://box', 'http://'],
    ['OLLAMA_BASE_URL', 'http:box', 'http://'],
    ['OLLAMA_BASE_URL', 'http://', 'http://'],
    ['OLLAMA_BASE_URL', 'http://a:11434,b:11434', 'http://localhost:11434, not "b:11434"'],
    ['OLLAMA_BASE_URL', ',', 'has commas but no URL'],
    ['OLLAMA_BASE_URL', 'http://a,http://u:p@A/', 'it has "http://a/" more than once'],
    ['OLLAMA_BASE_URL', Array.from({ length: 33 }, (_, at) => `http://a${at}`).join(), 'at most 32 hosts, not 33'],
    ['OLLAMA_BASE_URL', 'http://box?x=1', 'without a query'],
    ['OLLAMA_BASE_URL', 'http://user:50%off@box', '%25'],
    ['LLM_MODEL', 'llama3, qwen3', 'the name of one model'],
    ['LLM_MODELS', 'llama3,my model', '"my model"'],
    ['LLM_TIMEOUT', '0', 'from 0.01'],
    ['LLM_TIMEOUT', '30s', 'number of seconds'],
    ['LLM_TIMEOUT', '-1', 'number of seconds'],
    ['LLM_TIMEOUT', 'Infinity', 'number of seconds'],
    ['LLM_MAX_RETRIES', '2.5', 'whole number'],
    ['LLM_CONTEXT_WINDOW', '8k', 'whole number'],
    ['LLM_KEEP_ALIVE', '30min', 'Go duration'],
    ['LLM_KEEP_ALIVE', '30 m', 'Go duration'],
    ['LLM_KEEP_ALIVE', '1d', 'Go duration'],
    ['LLM_KEEP_ALIVE', '-5', 'Go duration'],
    ['LLM_KEEP_ALIVE', '9999999h', 'Go duration'],
    ['LLM_THINK', 'yes', 'high or max'],
    ['LLM_SYSTEM_PROMPT', 'x'.repeat(16_001), 'at most 16000 characters, not 16001'],
    ['CONVERSATION_TTL', 'forever', '30d, 12h'],
    ['CONVERSATION_TTL', '0d', '30d, 12h'],
    ['CONVERSATION_TTL', '1w', '30d, 12h'],
    ['ALLOWED_ORIGINS', '*', 'any web page could'],
    ['ALLOWED_ORIGINS', 'null', 'sandboxed'],
    ['ALLOWED_ORIGINS', 'chat.example.com', 'scheme://host'],
    ['ALLOWED_ORIGINS', 'https://chat.example.com/', 'did you mean https://chat.example.com.'],
    ['ALLOWED_ORIGINS', 'https://*.example.com', 'scheme://host'],
    ['TRUST_PROXY', 'true', 'must not trust everybody'],
    ['TRUST_PROXY', '0.0.0.0/0', 'must not trust everybody'],
    ['TRUST_PROXY', '::/0', 'must not trust everybody'],
    ['TRUST_PROXY', '1', 'number of hops'],
    ['TRUST_PROXY', '10.0.0.0/33', 'IP addresses or CIDR'],
    ['TRUST_PROXY', 'loopback', 'IP addresses or CIDR'],
    ['ALLOW_ANONYMOUS', '1', 'true or false'],
    ['API_KEYS', 'alice.short', 'at least 32'],
    ['API_KEYS', ' , ', 'no key'],
    ['LLM_KEEP_ALIVE', '999999h999999h999999h', 'Go duration'],
  ])('stops the start: %s=%s', (name, text, expected) => {
    const problems = problemsWith({ [name]: text });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(new RegExp(`^${name} .*\\.$`));
    expect(problems[0]).toContain(expected);
  });

  it('is told together with all the others, one line each', () => {
    const variables = {
      PORT: 'x',
      LLM_TIMEOUT: 'soon',
      LLM_TIMOUT: '3',
      LLM_MAX_TOOL_ROUNDS: '3',
      TRUST_PROXY: 'true,2',
    };
    const problems = problemsWith({ ...variables, HOST: '0.0.0.0', LLM_MAX_TOKENS: '9000' });
    expect(problems.map((problem) => problem.split(/[ =]/)[0])).toEqual([
      'LLM_TIMOUT',
      'LLM_MAX_TOOL_ROUNDS',
      'PORT',
      'LLM_TIMEOUT',
      'TRUST_PROXY',
      'TRUST_PROXY',
      'HOST',
    ]);
    expect(problems.every((problem) => !problem.includes('\n'))).toBe(true);
    expect(new ConfigError(problems).message.split('\n')).toHaveLength(1 + problems.length);
  });
});

describe('a setting that would do nothing', () => {
  it.each(['LLM_MAX_TOOL_ROUNDS', 'JWT_SECRET', 'JWT_JWKS_URL'])('is refused: %s', (name) => {
    expect(problemsWith({ [name]: '1' })).toEqual([
      `${name} is not supported by this version: it would have no effect; remove it.`,
    ]);
  });

  it.each([
    ['LLM_TIMOUT', 'LLM_TIMOUT is not a setting; did you mean LLM_TIMEOUT?'],
    ['LLM_MAX_TOKEN', 'LLM_MAX_TOKEN is not a setting; did you mean LLM_MAX_TOKENS?'],
    ['LLM_KEEPALIVE', 'LLM_KEEPALIVE is not a setting; did you mean LLM_KEEP_ALIVE?'],
    ['LLM_AUTO_PUL', 'LLM_AUTO_PUL is not a setting; did you mean LLM_AUTO_PULL?'],
    [
      'LLM_MAX_TOOL_ROUND',
      'LLM_MAX_TOOL_ROUND is not a setting; did you mean LLM_MAX_TOOL_ROUNDS (which is not supported by this version)?',
    ],
    ['LLM_COLOUR', 'LLM_COLOUR is not a setting; .env.example lists them all.'],
  ])('is refused by its misspelt name: %s', (name, problem) => {
    expect(problemsWith({ [name]: '1' })).toEqual([problem]);
  });
});

describe('settings that do not fit together', () => {
  it.each(['0.0.0.0', '::', '192.168.1.2', 'fe80::1%eth0', 'chat.example.com'])(
    'stop the start: HOST=%s without keys',
    (HOST) => {
      const problems = problemsWith({ HOST });
      expect(problems).toHaveLength(1);
      expect(problems[0]).toContain('API_KEYS');
      expect(problems[0]).toContain('node -p');
      expect(problems[0]).toContain('ALLOW_ANONYMOUS=true');
      expect(problemsWith({ HOST, API_KEYS: KEY })).toEqual([]);
      expect(problemsWith({ HOST, ALLOW_ANONYMOUS: 'true' })).toEqual([]);
    },
  );

  it.each(['127.0.0.1', '127.9.9.9', '::1', 'localhost'])('are fine: HOST=%s without keys', (HOST) => {
    expect(problemsWith({ HOST })).toEqual([]);
  });

  it('stop the start: keys, and nobody who needs one', () => {
    expect(problemsWith({ API_KEYS: KEY, ALLOW_ANONYMOUS: 'true' })).toEqual([
      expect.stringContaining('ALLOW_ANONYMOUS=true contradicts API_KEYS'),
    ]);
  });

  it('are not judged by a setting that is wrong already', () => {
    expect(problemsWith({ HOST: '0.0.0.0', API_KEYS: 'x' })).toHaveLength(1);
  });
});

describe('a secret', () => {
  it('is not in the configuration, only what knows it again', () => {
    const config = parseConfig({ API_KEYS: `${KEY}, bob.${SECRET},alice.${SECRET}x` });
    expect(config.apiKeys.map((key) => key.owner)).toEqual(['alice', 'bob', 'alice']);
    expect(inspect(config, { depth: 9, showHidden: true }) + JSON.stringify(config)).not.toContain(SECRET);
    expect(inspect(config, { depth: 9, showHidden: true })).not.toContain('digest');
  });

  it.each<[Variables]>([
    [{ API_KEYS: `hush` }],
    [{ API_KEYS: `hush,${KEY},alice.hush` }],
    [{ API_KEYS: `alice.${SECRET}hush!` }],
    [{ OLLAMA_BASE_URL: 'user:hush@box:11434' }],
    [{ OLLAMA_BASE_URL: 'http://user:hush@a,http://user:hush@a' }],
    [{ OLLAMA_BASE_URL: 'http://box?token=hush' }],
    [{ OLLAMA_BASE_URL: 'http://user:hush%@box' }],
    [{ OLLAMA_BASE_URL: 'ftp://user:hush@box' }],
    [{ ALLOWED_ORIGINS: 'https://user:hush@chat.example.com' }],
    [{ LLM_THINK: `hush${SECRET}` }],
    [{ REDIS_URL: 'reds://:hush@box', JWT_SECRET: 'hush' }],
  ])('is not printed: %j', (variables) => {
    const read = () => parseConfig(variables);
    expect(problemsOf(read)).not.toEqual([]);
    expect(read).not.toThrow(/hush|Zm9v/);
  });
});

describe('the environment', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'config-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));
  const writeEnv = (text: string | Uint8Array): void => writeFileSync(join(folder, '.env'), text);

  it('is that of the process where there is no .env', () => {
    expect(loadEnvironment(folder, { PORT: '1' })).toEqual({ PORT: '1' });
  });

  it('has .env behind the variables of the process', () => {
    writeEnv('\uFEFFPORT=1\nHOST=::1 # this machine\nLLM_SYSTEM_PROMPT="Two\nlines"\n');
    const environment = loadEnvironment(folder, { PORT: '2', HOST: '' });
    expect(parseConfig(environment)).toMatchObject({ port: 2, host: '::1', systemPrompt: 'Two\nlines' });
  });

  it('shows the mistakes of .env as well', () => {
    writeEnv('LLM_TIMOUT=3\nPORT=x\n');
    expect(problemsWith(loadEnvironment(folder, {}))).toHaveLength(2);
  });

  it('says when .env cannot be read', () => {
    mkdirSync(join(folder, '.env'));
    expect(problemsOf(() => loadEnvironment(folder, {}))).toEqual([expect.stringContaining('cannot be read (EISDIR)')]);
  });

  it('says when .env is not UTF-8', () => {
    writeEnv(Buffer.from('\uFEFFPORT=1', 'utf16le'));
    expect(problemsOf(() => loadEnvironment(folder, {}))).toEqual([expect.stringContaining('is not UTF-8 text')]);
  });
});
