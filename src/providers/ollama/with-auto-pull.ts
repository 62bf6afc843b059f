import { ModelNotFoundError } from '../../errors.ts';
import type { Provider } from '../provider.ts';
import { untilAborted } from '../until-aborted.ts';
import { ModelPulls } from './model-pulls.ts';
import type { ModelPullsOptions } from './model-pulls.ts';

export interface AutoPullOptions extends ModelPullsOptions {
  /** Tokens, as configured: what a model has until it is known. */
  readonly contextWindow: number;
}

export interface AutoPull {
  readonly provider: Provider;
  /** Ends all downloads. */
  readonly pulls: Disposable;
}

/** The same provider, where models that no host has are found all the same, and downloaded by `pull`. */
export const withAutoPull = (provider: Provider, { contextWindow, ...options }: AutoPullOptions): AutoPull => {
  const pulls = new ModelPulls(options);
  const findModel: Provider['findModel'] = async (name) => {
    try {
      return await provider.findModel(name);
    } catch (error) {
      if (!(error instanceof ModelNotFoundError)) throw error;
      pulls.check(name);
      return {
        name,
        provider: provider.name,
        loaded: false,
        contextWindow,
        capabilities: ['completion'],
        isMissing: true,
      };
    }
  };
  return {
    pulls,
    provider: {
      name: provider.name,
      stream: (request, signal) => provider.stream(request, signal),
      findModel,
      async *pull(model, signal) {
        const { isMissing } = await untilAborted(findModel(model), signal);
        if (isMissing) yield* pulls.follow(model, signal);
      },
      listModels: () => provider.listModels(),
      health: () => provider.health(),
    },
  };
};
