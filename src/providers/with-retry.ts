import type { Clock, Ids } from '../clock.ts';
import { BackendTimeoutError, LLMError } from '../errors.ts';
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
  /** Whether a host that is not one of `tried` can be asked for the model; where it is absent, the route finds out. */
  readonly hasOtherHost?: (model: string, tried: ReadonlySet<string>) => boolean;
}

const FIRST_DELAY_MS = 250;
const LONGEST_DELAY_MS = 8_000;
/** A model that is silent on two hosts would be on the third. */
const MAX_REPLACED_SILENCES = 1;

/**
 * Tries a failed call again as long as nobody has seen any of its output: when its failure can pass by itself, or when
 * another host may do what this one cannot. On a host that was tried before it waits first, longer each time, and never
 * less than the failure takes to pass; where a request has a route, that says which host is next. Before the wait, or when the call goes elsewhere, it says so by a
 * `retrying` status.
 */
export const withRetry = (provider: Provider, policy: RetryPolicy): Provider => {
  const budget = policy.budget ?? new RetryBudget(policy.clock);
  return {
    name: provider.name,
    stream: (request, signal) => new Retries(provider, { ...policy, budget }, { request, signal }).stream(),
    findModel: (name) => provider.findModel(name),
    pull: provider.pull?.bind(provider),
    listModels: () => provider.listModels(),
    health: () => provider.health(),
  };
};

interface Call {
  readonly request: ProviderRequest;
  readonly signal: AbortSignal;
}

/** The attempts of one call. */
class Retries {
  readonly #provider: Provider;
  readonly #policy: RetryPolicy & { readonly budget: RetryBudget };
  readonly #call: Call;
  /** Hosts that have failed. */
  readonly #tried = new Set<string>();
  #retries = 0;
  #silences = 0;

  constructor(provider: Provider, policy: RetryPolicy & { readonly budget: RetryBudget }, call: Call) {
    this.#provider = provider;
    this.#policy = policy;
    this.#call = call;
  }

  async *stream(): AsyncGenerator<readonly Part[], void> {
    const { request, signal } = this.#call;
    this.#policy.budget.countRequest();
    for (let hasSpoken = false; ;) {
      try {
        for await (const parts of this.#provider.stream(request, signal)) {
          // From here on a second attempt would say the same words twice; a status says nothing.
          hasSpoken ||= parts.some((part) => part.type !== 'status');
          yield parts;
        }
        return;
      } catch (error) {
        signal.throwIfAborted();
        if (hasSpoken || !this.#mayTryAgain(error)) throw error;
        if (!error.transient && !(await this.#moveOn(error))) throw error;
        yield [{ type: 'status', status: { state: 'retrying', attempt: (this.#retries += 1) } }];
        if (error.transient && !(await this.#moveOn(error))) await this.#wait(error);
      }
    }
  }

  /** Takes one retry when it answers that there is one. */
  #mayTryAgain(error: unknown): error is LLMError {
    const { maxRetries, budget } = this.#policy;
    if (!(error instanceof LLMError) || this.#retries === maxRetries) return false;
    const { route } = this.#call.request;
    if (route) this.#tried.add(route.host);
    if (error instanceof BackendTimeoutError) this.#silences += 1;
    const mayGoElsewhere = error.elsewhere && this.#silences <= MAX_REPLACED_SILENCES && this.#hasOtherHost;
    return (error.transient || mayGoElsewhere) && budget.take();
  }

  get #hasOtherHost(): boolean {
    const { route, model } = this.#call.request;
    return route !== undefined && (this.#policy.hasOtherHost?.(model, this.#tried) ?? true);
  }

  /**
   * Goes to the next host; false when that is one that was tried.
   * @throws `error` when there is no host in time
   */
  async #moveOn(error: LLMError): Promise<boolean> {
    const { request, signal } = this.#call;
    if (!request.route) return false;
    try {
      await request.route.next(signal);
    } catch {
      signal.throwIfAborted();
      throw error;
    }
    if (!this.#tried.has(request.route.host)) return true;
    if (!error.transient) this.#policy.budget.giveBack();
    return false;
  }

  async #wait({ leastDelayMs }: LLMError): Promise<void> {
    const { clock, ids } = this.#policy;
    const { signal } = this.#call;
    await untilAborted(clock.sleep(leastDelayMs + toDelay(this.#retries - 1, ids), signal), signal);
  }
}

/** Full jitter: those who failed together do not come back together. */
const toDelay = (retry: number, ids: Ids): number =>
  ids.random() * Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** retry);
