import type { HostBoard } from '../../limits/host-board.ts';
import type { Provider } from '../provider.ts';

export interface Provided extends Disposable {
  /** True when a host has the model; false when that is not waited for any more. */
  readonly done: Promise<boolean>;
}

/**
 * Has a model downloaded where no host has it, as soon as one answers; tried again, when it fails, as often as
 * something changes with the hosts. Disposing it ends the trying, not a download that is under way.
 */
export const provideModel = (
  provider: Pick<Provider, 'findModel' | 'pull'>,
  board: Pick<HostBoard, 'onChange'>,
  model: string,
): Provided => {
  const { promise: done, resolve } = Promise.withResolvers<boolean>();
  const stop = new AbortController();
  let isTrying = false;
  let hasChanged = false;
  const attempt = async (): Promise<void> => {
    hasChanged = isTrying;
    if (isTrying) return;
    isTrying = true;
    try {
      const { isMissing } = await provider.findModel(model);
      const pulling = isMissing ? provider.pull?.(model, stop.signal) : undefined;
      if (pulling) for await (const _status of pulling); // the log tells how far it is
      end(true);
    } catch {
      // No host answers, or it failed, which is in the log.
    }
    isTrying = false;
    if (hasChanged && !stop.signal.aborted) void attempt();
  };
  const changes = board.onChange(() => void attempt());
  const end = (isThere: boolean): void => {
    changes[Symbol.dispose]();
    stop.abort();
    resolve(isThere);
  };
  void attempt();
  return { done, [Symbol.dispose]: () => end(false) };
};
