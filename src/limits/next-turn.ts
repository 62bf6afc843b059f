import type { HostBoard, HostView } from './host-board.ts';
import { chooseHost, findFreeHosts, findUsable, hasFreeSlot, type HostLoad } from './host-choice.ts';

/** One who waits for a host. What may change is kept here from one look to the next. */
export interface Seeker {
  readonly model: string;
  readonly conversation: string;
  /** Hosts that have failed it, the last one last. */
  readonly tried: Set<string>;
  /** From when on it takes a host that has to load the model, whomever that pushes out; set when it first could. */
  loadAt: number | undefined;
  /** When it is given up, since no host can be asked; absent while one can. */
  failAt: number | undefined;
  /** Not to be served yet, and not to be given up either. */
  readonly isHeld: boolean;
}

export interface TurnInput<One extends Seeker> {
  /** Who waits, in the order of their turns. */
  readonly order: readonly One[];
  readonly board: HostBoard;
  readonly load: HostLoad;
  readonly lastHost: (conversation: string) => string | undefined;
  /** How long a slot is taken by a reply of the model, as it was measured; 0 before that. */
  readonly replyMs: (model: string) => number;
  readonly now: number;
  readonly awayTimeoutMs: number;
}

export interface Turn<One> {
  readonly seeker: One;
  readonly host: string;
}

/**
 * The first who can be served now, and where. A load is dear, and it pushes another model out. So who needs one lets
 * pass those who wait for what the host has loaded, and waits itself where its model is loaded on a busy host: for as
 * long as the load would take, since it first could have been made. Where nobody wants what it pushes out, it could be
 * made for all who wait; else for the first of them, as the others are waited for as well. A load that is shorter than
 * a reply of theirs waits for twice as long as it takes, or two models would take turns. Nobody starves.
 */
export const findTurn = <One extends Seeker>(input: TurnInput<One>): Turn<One> | undefined => {
  const usable = memoize((model: string) => findUsable(input.board, model, input.load));
  const freeOf = memoize((model: string) => findFreeHosts(usable(model), input.load));
  const wantedBy = once(() => findWanted(input.order, usable));
  /** Where a load that pushes out what others want was offered in this look: a chance for one of those who wait. */
  const offered = new Set<string>();
  for (const seeker of input.order) {
    if (seeker.isHeld) continue;
    const hosts = withoutTried(seeker, usable(seeker.model));
    seeker.failAt = hosts.length > 0 ? undefined : (seeker.failAt ?? input.now + input.awayTimeoutMs);
    const free = seeker.tried.size === 0 ? freeOf(seeker.model) : findFreeHosts(hosts, input.load);
    if (free.length === 0) continue;
    const choose = (from: readonly HostView[]): HostView | undefined =>
      chooseHost(from, input.load, input.lastHost(seeker.conversation));
    const best = choose(free);
    if (!best) continue;
    if (best.isLoaded) return { seeker, host: best.host };
    const unwanted = choose(free.filter(({ host }) => isOnly(wantedBy().get(host), seeker.model)));
    if (unwanted || !offered.has(best.host)) {
      const pushedOut = unwanted ? undefined : wantedBy().get(best.host);
      seeker.loadAt ??= input.now + toPatienceMs(best.loadMs, [...(pushedOut ?? [])].map(input.replyMs));
    }
    if (!unwanted) offered.add(best.host);
    const isPatient = seeker.loadAt === undefined || input.now < seeker.loadAt;
    if (isPatient && hosts.some((host) => isWarmAndBusy(host, input.load))) continue;
    const host = unwanted ?? (isPatient ? undefined : best);
    if (!host) continue;
    // One load may be enough for all who wait for it: the others begin to wait anew.
    for (const other of input.order) if (other.model === seeker.model) other.loadAt = undefined;
    return { seeker, host: host.host };
  }
  return undefined;
};

/** As long as a load takes; twice as long where a reply of those that it pushes out takes longer. */
const toPatienceMs = (loadMs: number, repliesMs: readonly number[]): number =>
  repliesMs.some((replyMs) => replyMs > loadMs) ? 2 * loadMs : loadMs;

/** Worth a wait; not so a host that was silent. */
const isWarmAndBusy = (host: HostView, load: HostLoad): boolean =>
  host.isLoaded && host.state !== 'suspect' && !hasFreeSlot(host, load);

/** Hosts that have not failed it. When all have, it begins anew, and only the last one is left out if it can be. */
const withoutTried = ({ tried }: Seeker, usable: readonly HostView[]): readonly HostView[] => {
  if (tried.size === 0 || usable.length === 0) return usable;
  const untried = usable.filter(({ host }) => !tried.has(host));
  if (untried.length > 0) return untried;
  const last = [...tried].at(-1);
  tried.clear();
  if (last === undefined || usable.length === 1) return usable;
  tried.add(last);
  return usable.filter(({ host }) => host !== last);
};

/** Of each host, the models that it has loaded and that somebody waits for there. */
const findWanted = (
  order: readonly Seeker[],
  usable: (model: string) => readonly HostView[],
): ReadonlyMap<string, ReadonlySet<string>> => {
  const wanted = new Map<string, Set<string>>();
  for (const { model, tried, isHeld } of order) {
    if (isHeld) continue;
    for (const { host, isLoaded } of usable(model)) {
      if (!isLoaded || tried.has(host)) continue;
      const models = wanted.get(host);
      if (models) models.add(model);
      else wanted.set(host, new Set([model]));
    }
  }
  return wanted;
};

const isOnly = (models: ReadonlySet<string> | undefined, model: string): boolean =>
  models === undefined || (models.size === 1 && models.has(model));

const memoize = <Key, Value>(compute: (key: Key) => Value): ((key: Key) => Value) => {
  const known = new Map<Key, Value>();
  return (key) => {
    const value = known.get(key) ?? compute(key);
    known.set(key, value);
    return value;
  };
};

const once = <Value>(compute: () => Value): (() => Value) => {
  const get = memoize((_key: 'it') => compute());
  return () => get('it');
};
