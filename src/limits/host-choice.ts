import type { HostBoard, HostView } from './host-board.ts';

/** What runs where, as far as it matters for one request. */
export interface HostLoad {
  /** How many replies a host runs at once. */
  readonly slots: number;
  /** How many run there now. */
  readonly running: (host: string) => number;
  /** Whether one of them is by the model. */
  readonly runs: (host: string, model: string) => boolean;
}

/** A host that is on trial takes one request at a time. */
export const hasFreeSlot = ({ host, state }: HostView, { slots, running }: HostLoad): boolean =>
  running(host) < (state === 'trial' ? 1 : slots);

/**
 * The hosts that can be asked for the model at all, now or when a slot is free. What runs on a host is loaded there or
 * being loaded, also where the board has not heard of it yet.
 */
export const findUsable = (board: HostBoard, model: string, { runs }: HostLoad): readonly HostView[] =>
  board
    .view(model)
    .filter(({ hasModel, state }) => hasModel && state !== 'away')
    .map((view) => (!view.isLoaded && runs(view.host, model) ? { ...view, isLoaded: true } : view));

/** Of usable hosts those that can begin at once; who was silent is among them only when nobody else is. */
export const findFreeHosts = (hosts: readonly HostView[], load: HostLoad): readonly HostView[] => {
  const free = hosts.filter((host) => hasFreeSlot(host, load));
  const sound = free.filter(({ state }) => state !== 'suspect');
  return sound.length > 0 ? sound : free;
};

/**
 * The best of hosts that can begin at once, given in the order of the settings: one that has the model loaded; among
 * equals the one that the conversation was on, since it may still know the beginning; then the one that runs the
 * fewest replies; then the first. Undefined of none.
 */
export const chooseHost = (
  hosts: readonly HostView[],
  { running }: HostLoad,
  lastHost: string | undefined,
): HostView | undefined => {
  const isBetter = (one: HostView, other: HostView): boolean => {
    if (one.isLoaded !== other.isLoaded) return one.isLoaded;
    if (one.host === lastHost || other.host === lastHost) return one.host === lastHost;
    return running(one.host) < running(other.host);
  };
  let best: HostView | undefined;
  for (const host of hosts) if (!best || isBetter(host, best)) best = host;
  return best;
};
