import { Redis } from 'ioredis';
import type { Clock, Ids } from '../../clock.ts';
import { Nudges } from '../nudges.ts';
import { NUDGE_PREFIX, toReplyPlace } from './keys.ts';
import type { RedisAddress, RedisNode } from './redis-address.ts';
import { toClientOptions, toNodeOptions, toRetryDelay } from './redis-client.ts';

export interface NudgeSubscriberParts {
  readonly address: RedisAddress;
  readonly clock: Clock;
  readonly ids: Ids;
  /** Where to subscribe, in a Cluster any of its nodes: each passes on what is published on any other. */
  readonly nodes: () => readonly RedisNode[];
}

/** A connection on which nothing is asked does not notice that the network is cut. */
const PING_MS = 5_000;

/**
 * Hears, on a connection of its own, of the replies that are watched here. When the connection is lost it takes the
 * next node, subscribes anew and nudges everybody: what was published meanwhile is gone.
 */
export class NudgeSubscriber implements Disposable {
  readonly #parts: NudgeSubscriberParts;
  readonly #nudges = new Nudges();
  readonly #closing = new AbortController();
  readonly #ping: Disposable;
  #client: Redis;
  #tries = 0;

  constructor(parts: NudgeSubscriberParts) {
    this.#parts = parts;
    this.#client = this.#connect();
    this.#ping = parts.clock.every(PING_MS, () => void this.#client.ping().catch(() => undefined));
  }

  watch(messageId: string, onNudge: () => void): Disposable {
    const isNew = !this.#nudges.has(messageId);
    const watch = this.#nudges.add(messageId, onNudge);
    if (!toReplyPlace(messageId)) return watch; // nobody will ever write it
    if (isNew || this.#client.status === 'ready') void this.#subscribe([messageId]);
    return {
      [Symbol.dispose]: () => {
        watch[Symbol.dispose]();
        if (!this.#nudges.has(messageId))
          void this.#client.unsubscribe(NUDGE_PREFIX + messageId).catch(() => undefined);
      },
    };
  }

  [Symbol.dispose](): void {
    this.#closing.abort();
    this.#ping[Symbol.dispose]();
    this.#client.disconnect();
  }

  #connect(): Redis {
    const { address, nodes } = this.#parts;
    const known = address.isCluster ? nodes() : address.nodes;
    const choice = known.length > 0 ? known : address.nodes;
    const client = new Redis({
      ...toClientOptions(address),
      ...toNodeOptions(address, choice[this.#tries % Math.max(choice.length, 1)]),
      autoResubscribe: false, // it is done below, where its end is known
      retryStrategy: () => null,
    });
    client.on('error', () => undefined); // its end is what counts
    client.on('message', (channel: string) => this.#nudges.nudge(channel.slice(NUDGE_PREFIX.length)));
    client.on('ready', () => {
      this.#tries = 0;
      void this.#subscribe(this.#nudges.watched.filter((messageId) => toReplyPlace(messageId) !== undefined));
    });
    client.once('end', () => void this.#reconnect());
    void client.connect().catch(() => undefined);
    return client;
  }

  async #reconnect(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#tries += 1;
    const { clock, ids } = this.#parts;
    await clock.sleep(toRetryDelay(this.#tries, ids), this.#closing.signal).catch(() => undefined);
    if (!this.#closing.signal.aborted) this.#client = this.#connect();
  }

  /** Where it fails the connection is lost, and the next one subscribes to all that is watched. */
  async #subscribe(messageIds: readonly string[]): Promise<void> {
    if (messageIds.length === 0) return;
    const client = this.#client;
    try {
      await client.subscribe(...messageIds.map((messageId) => NUDGE_PREFIX + messageId));
    } catch {
      if (client.status === 'ready') client.disconnect();
      return;
    }
    for (const messageId of messageIds) this.#nudges.nudge(messageId);
  }
}
