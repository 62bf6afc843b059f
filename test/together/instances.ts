import { expect } from 'vitest';
import type { Variables } from '../../src/config.ts';
import { DURABLE, startRedisServer, type RedisServer } from '../support/redis-server.ts';
import { RunningService } from '../support/running-service.ts';
import { ScriptedOllama, type Step } from '../support/scripted-ollama/scripted-ollama.ts';
import { isEnd, seqs, textOf, type Fields, type Frame, type SocketClient } from '../support/socket-client.ts';

export interface InstancesOptions {
  readonly count?: number;
  readonly settings?: Variables;
  /** Where the instances find Redis, when not at its own address. */
  readonly toRedisUrl?: (redis: RedisServer, index: number) => Promise<string>;
  /** More settings of redis-server. */
  readonly redis?: readonly string[];
}

/** Instances of the service over one Redis, before one scripted Ollama. */
export class Instances implements AsyncDisposable {
  readonly redis: RedisServer;
  readonly ollama: ScriptedOllama;
  readonly all: readonly RunningService[];
  readonly #opened: AsyncDisposableStack;

  private constructor(parts: {
    redis: RedisServer;
    ollama: ScriptedOllama;
    all: readonly RunningService[];
    opened: AsyncDisposableStack;
  }) {
    this.redis = parts.redis;
    this.ollama = parts.ollama;
    this.all = parts.all;
    this.#opened = parts.opened;
  }

  static async start({ count = 2, settings = {}, toRedisUrl, redis: more = [] }: InstancesOptions = {}) {
    await using opening = new AsyncDisposableStack();
    const redis = opening.use(await startRedisServer(...DURABLE, ...more));
    const ollama = opening.use(await ScriptedOllama.start({ parallel: 64 }));
    const start = async (index: number): Promise<RunningService> => {
      const url = (await toRedisUrl?.(redis, index)) ?? redis.url;
      return RunningService.start({ ollama, settings: { REDIS_URL: url, LLM_CONCURRENCY: '64', ...settings } });
    };
    const all = await Promise.all(Array.from({ length: count }, (_, index) => start(index)));
    for (const instance of all) opening.use(instance);
    return new Instances({ redis, ollama, all, opened: opening.move() });
  }

  /** The `index`-th instance, counted round and round. */
  at(index: number): RunningService {
    return this.all[index % this.all.length]!; // there is at least one
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#opened.disposeAsync();
  }
}

/** Begins a reply; gives its id. */
export const begin = async (client: SocketClient, message: string, fields: Fields = {}): Promise<string> => {
  const from = client.frames.length;
  client.ask(message, fields);
  const { data } = await client.waitForEvent('llm_accepted', from);
  return String(data['message_id']);
};

/** Words, a token each, and how the reply ends. */
export const sayEach = (words: readonly string[], ...then: readonly Step[]): readonly Step[] => [
  ...words.map((word, index) => ({ say: index === 0 ? word : ` ${word}` })),
  ...(then.length > 0 ? then : [{ done: true } as const]),
];

/** `1 2 3 …` */
export const toNumbers = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, index) => String(index + 1));

export const framesOf = (frames: readonly Frame[], messageId: string): readonly Frame[] =>
  frames.filter(({ data }) => data['message_id'] === messageId);

/**
 * What a watcher was told from `after` on is exact: numbers without a hole or a double, offsets that chain, and one
 * end, with the text that the deltas spell behind `before`. Gives the whole text.
 */
export const checkWatch = (frames: readonly Frame[], { after = 0, before = '' } = {}): string => {
  const numbers = seqs(frames);
  expect(numbers).toStrictEqual(numbers.map((_, index) => after + 1 + index));
  expect(frames.filter(isEnd)).toHaveLength(1);
  let text = before;
  for (const { event, data } of frames) {
    expect(event).not.toBe('llm_rewind');
    if (event !== 'llm_delta') continue;
    expect(data['at']).toBe(text.length);
    text += String(data['text']);
  }
  const end = frames.find(isEnd);
  expect(end?.data['response'] ?? '').toBe(text);
  expect(text).toBe(before + textOf(frames));
  return text;
};
