import type { Clock, Ids } from '../clock.ts';
import { LLMError } from '../errors.ts';
import type { Part, Provider, ProviderRequest } from './provider.ts';
import { RetryBudget } from './retry-budget.ts';
import { untilAborted } from './until-aborted.ts';

export interface RetryPolicy {
  readonly clock: Clock;
  readonly ids: Ids;
  /** After the first attempt. */
  readonly maxRetries: number;
  /** Shared by all wrappers that it is handed to; by default one of its own. */
  readonly budget?: RetryBudget;
}

const FIRST_DELAY_MS = 250;
const LONGEST_DELAY_MS = 8_000;

/**
 * Tries a failed call again when its failure can pass by itself, as long as nobody has seen any of its output. It
 * waits between two attempts, longer each time, and says so by a `retrying` status before each wait.
 */
export const withRetry = (provider: Provider, policy: RetryPolicy): Provider => {
  const budget = policy.budget ?? new RetryBudget(policy.clock);
  return {
    name: provider.name,
    stream: (request, signal) => streamWithRetry(provider, { ...policy, budget }, { request, signal }),
    findModel: (name) => provider.findModel(name),
    listModels: () => provider.listModels(),
    health: () => provider.health(),
  };
};

interface Call {
  readonly request: ProviderRequest;
  readonly signal: AbortSignal;
}

async function* streamWithRetry(
  provider: Provider,
  { clock, ids, maxRetries, budget }: Required<RetryPolicy>,
  { request, signal }: Call,
): AsyncGenerator<readonly Part[], void> {
  budget.countRequest();
  for (let retry = 0, hasSpoken = false; ; retry++) {
    try {
      for await (const parts of provider.stream(request, signal)) {
        // From here on a second attempt would say the same words twice; a status says nothing.
        hasSpoken ||= parts.some((part) => part.type !== 'status');
        yield parts;
      }
      return;
    } catch (error) {
      signal.throwIfAborted();
      if (hasSpoken || retry === maxRetries || !isTransient(error) || !budget.take()) throw error;
    }
    yield [{ type: 'status', status: { state: 'retrying', attempt: retry + 1 } }];
    await untilAborted(clock.sleep(toDelay(retry, ids), signal), signal);
  }
}

const isTransient = (error: unknown): boolean => error instanceof LLMError && error.transient;

/** Full jitter: those who failed together do not come back together. */
const toDelay = (retry: number, ids: Ids): number =>
  ids.random() * Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** retry);
