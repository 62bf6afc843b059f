import { Cluster, type Redis } from 'ioredis';
import type { Clock, Ids } from '../../clock.ts';
import { asList } from './answers.ts';
import { toTag } from './keys.ts';
import { createClient } from './redis-client.ts';
import type { RedisAddress, RedisNode } from './redis-address.ts';
import type { Script } from './scripts.ts';
import { toStorageError } from './storage-error.ts';

type Value = string | number;

/** What one call does to one of many things that may lie in different slots. */
export interface ScriptItem {
  readonly keys: readonly string[];
  readonly values: readonly Value[];
}

export interface RedisConnectionParts {
  readonly address: RedisAddress;
  readonly clock: Clock;
  readonly ids: Ids;
  /** A time in place of the server's: for tests. */
  readonly serverTime?: () => number;
}

/** The connection on which everything but nudges goes. It throws the store's errors, within two seconds. */
export class RedisConnection {
  readonly #client: Redis | Cluster;
  readonly #clock: Clock;
  readonly #serverTime: (() => number) | undefined;
  #connectedAt = Number.POSITIVE_INFINITY;
  #lastError: unknown;
  #isCorked = false;

  constructor({ address, clock, ids, serverTime }: RedisConnectionParts) {
    this.#client = createClient(address, ids);
    this.#clock = clock;
    this.#serverTime = serverTime;
    this.#client.on('error', (error: unknown) => void (this.#lastError = error)); // each command tells its own caller
    const onReady = (): void => void (this.#connectedAt = this.#clock.elapsed());
    if (this.#client instanceof Cluster) {
      this.#client.on('+node', (node: Redis) => {
        onReady();
        node.on('ready', onReady);
      });
    } else {
      this.#client.on('ready', onReady);
    }
  }

  /** Whether no script may touch two slots. */
  get isCluster(): boolean {
    return this.#client instanceof Cluster;
  }

  /** For how long nothing has been reconnected; a restart of Redis is a reconnection too. */
  get ageMs(): number {
    return this.#clock.elapsed() - this.#connectedAt;
  }

  /** Resolves when the first connection stands; rejects with why it does not. */
  async connect(): Promise<void> {
    try {
      await this.#client.connect();
    } catch (error) {
      throw this.#lastError ?? error;
    }
  }

  /** The masters that are known now, as Redis names them. */
  get masters(): readonly RedisNode[] {
    return this.#nodes.map(({ options }) => ({ host: options.host ?? '', port: options.port ?? 0 }));
  }

  /** Resolves when every master has answered. */
  async ping(): Promise<void> {
    await withStorageErrors(Promise.all(this.#nodes.map((node) => node.ping())));
  }

  /** What every master says to a command that changes nothing of the data. */
  async askEach(command: string, ...values: readonly string[]): Promise<readonly unknown[]> {
    return withStorageErrors(Promise.all(this.#nodes.map((node) => node.call(command, ...values))));
  }

  /** One command, to where its key lies. */
  async call(command: string, key: string, ...values: readonly string[]): Promise<unknown> {
    return withStorageErrors(this.#client.call(command, key, ...values));
  }

  /** One script, whose keys lie in one slot (on one primary, they may lie anywhere). */
  async run(script: Script, keys: readonly string[], values: readonly Value[]): Promise<unknown> {
    const time = this.#serverTime?.() ?? '';
    this.#cork();
    return withStorageErrors(this.#toCommand(script)(keys.length, ...keys, time, ...values));
  }

  /**
   * One script over many items, each with an answer in its place: one call on one primary, and one for each slot in
   * a Cluster. Where one of those fails, so does the whole; the others have been done.
   */
  async runEach(script: Script, header: readonly Value[], items: readonly ScriptItem[]): Promise<readonly unknown[]> {
    if (items.length === 0) return [];
    const groups = Map.groupBy(items.keys(), (index) => (this.isCluster ? toTag(items[index]?.keys[0] ?? '') : ''));
    const answers: unknown[] = [];
    const runGroup = async (indexes: readonly number[]): Promise<void> => {
      const group = indexes.flatMap((index) => items[index] ?? []);
      const values = [...header, ...group.flatMap((item) => item.values)];
      const reply = await this.run(
        script,
        group.flatMap((item) => item.keys),
        values,
      );
      for (const [at, answer] of asList(reply).entries()) answers[indexes[at] ?? 0] = answer;
    };
    await Promise.all([...groups.values()].map(runGroup));
    return answers;
  }

  /** What is under way fails. */
  disconnect(): void {
    this.#client.disconnect();
  }

  /** The scripts of one turn of the loop go out in one write. */
  #cork(): void {
    if (this.#client instanceof Cluster || this.#isCorked || this.#client.status !== 'ready') return;
    const { stream } = this.#client;
    this.#isCorked = true;
    stream.cork();
    this.#clock.afterTurn(() => {
      this.#isCorked = false;
      stream.uncork();
    });
  }

  get #nodes(): readonly Redis[] {
    return this.#client instanceof Cluster ? this.#client.nodes('master') : [this.#client];
  }

  /** ioredis sends a script's text on each connection once, and its digest from then on. */
  #toCommand({ name, lua }: Script): (...values: readonly Value[]) => Promise<unknown> {
    if (!Reflect.has(this.#client, name)) this.#client.defineCommand(name, { lua });
    const command: unknown = Reflect.get(this.#client, name);
    if (typeof command !== 'function') throw new TypeError(`ioredis has not taken the script ${name}.`);
    return (...values) => Promise.resolve(command.apply(this.#client, values));
  }
}

const withStorageErrors = async <Result>(answer: Promise<Result>): Promise<Result> => {
  try {
    return await answer;
  } catch (error) {
    throw toStorageError(error);
  }
};
