import {
  type CallerAllowance,
  type CallerLimits,
  type CallerRequest,
  type ChargeAnswer,
  RUNNING_LEASE_MS,
} from '../caller-limits.ts';
import { MINUTE_MS } from '../chat-store.ts';
import { asList, asNumber } from './answers.ts';
import { toCallerKeys, toDigest } from './keys.ts';
import type { RedisConnection } from './redis-connection.ts';
import * as scripts from './scripts.ts';

/** The limits of callers over all instances: two sorted sets in each caller's slot. */
export class RedisCallerLimits implements CallerLimits {
  readonly #connection: RedisConnection;

  /** The connection is the chat store's, and is closed with it. */
  constructor(connection: RedisConnection) {
    this.#connection = connection;
  }

  async charge({ owner, request }: CallerRequest, allowance: CallerAllowance): Promise<ChargeAnswer> {
    const { charges, running } = toCallerKeys(owner);
    const { requestsPerMinute, maxConcurrent } = allowance;
    const values = [toMember(request), requestsPerMinute, maxConcurrent, MINUTE_MS, RUNNING_LEASE_MS];
    const [type, count] = asList(await this.#connection.run(scripts.charge, [charges, running], values));
    if (type === 'rate-limited') return { type, retryAfterMs: asNumber(count) };
    return type === 'too-many-running'
      ? { type, running: asNumber(count) }
      : { type: 'ok', remaining: asNumber(count) };
  }

  async refund({ owner, request }: CallerRequest): Promise<void> {
    const { charges, running } = toCallerKeys(owner);
    await this.#connection.run(scripts.uncharge, [charges, running], [toMember(request)]);
  }

  async release({ owner, request }: CallerRequest): Promise<void> {
    await this.#connection.run(scripts.uncharge, [toCallerKeys(owner).running], [toMember(request)]);
  }

  async renew(requests: readonly CallerRequest[]): Promise<void> {
    const items = requests.map(({ owner, request }) => ({
      keys: [toCallerKeys(owner).running],
      values: [toMember(request)],
    }));
    await this.#connection.runEach(scripts.renewRunning, [RUNNING_LEASE_MS], items);
  }
}

/** As short as any other, whatever a caller names its requests. */
const toMember = (request: string): string => toDigest([request]);
