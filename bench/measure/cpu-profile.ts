/** A function, and how long it ran itself. */
export interface Costs {
  readonly function: string;
  /** `node:net`, or a path with a line; empty for the engine's own. */
  readonly place: string;
  /** The function of ours for which it ran, where one was on the stack. */
  readonly owner: string;
  /** Microseconds. */
  readonly us: number;
}

/** As V8 writes it (the Profiler domain of its inspector protocol). */
interface Profile {
  readonly nodes: readonly ProfileNode[];
  /** Of each sample, the node that ran. */
  readonly samples: readonly number[];
  /** Microseconds since the sample before. */
  readonly timeDeltas: readonly number[];
  /** Microseconds of the monotonic clock. */
  readonly startTime: number;
}

interface ProfileNode {
  readonly id: number;
  readonly callFrame: CallFrame;
  readonly children?: readonly number[];
}

interface CallFrame {
  readonly functionName: string;
  readonly url: string;
  /** From 0. */
  readonly lineNumber: number;
}

/** What ran between two times, in microseconds of the monotonic clock. */
export const parseProfile = (text: string, { from, to }: { from: number; to: number }): readonly Costs[] => {
  const { nodes, samples, timeDeltas, startTime } = JSON.parse(text) as Profile; // V8's own
  const described = describe(nodes);
  const costs = new Map<string, Costs>();
  let now = startTime;
  for (const [index, id] of samples.entries()) {
    const us = timeDeltas[index] ?? 0;
    now += us;
    const node = described.get(id);
    if (!node || now < from || now > to || node.function === '(idle)') continue;
    const key = `${node.function} ${node.place} ${node.owner}`;
    costs.set(key, { ...node, us: us + (costs.get(key)?.us ?? 0) });
  }
  return [...costs.values()];
};

const describe = (nodes: readonly ProfileNode[]): ReadonlyMap<number, Omit<Costs, 'us'>> => {
  const parents = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)));
  const described = new Map<number, Omit<Costs, 'us'>>();
  // A parent stands before its children.
  for (const { id, callFrame } of nodes) {
    const { functionName, url, lineNumber } = callFrame;
    const place = url === '' ? '' : `${toPath(url)}:${lineNumber + 1}`;
    const name = functionName || '(anonymous)';
    const owner = described.get(parents.get(id) ?? 0)?.owner ?? '';
    described.set(id, { function: name, place, owner: isOurs(url) ? `${name}  ${place}` : owner });
  }
  return described;
};

const isOurs = (url: string): boolean => url.includes('/src/') && !url.includes('/node_modules/');

const toPath = (url: string): string => url.replace(/^.*\/node_modules\//, '').replace(/^.*\/src\//, 'src/');

export interface Cost {
  readonly name: string;
  readonly us: number;
}

const addUp = (costs: readonly Costs[], toName: (cost: Costs) => string): readonly Cost[] => {
  const sums = new Map<string, number>();
  for (const cost of costs) sums.set(toName(cost), (sums.get(toName(cost)) ?? 0) + cost.us);
  return [...sums].map(([name, us]) => ({ name, us })).toSorted((one, other) => other.us - one.us);
};

/** What cost most by itself. */
export const toTop = (costs: readonly Costs[]): readonly Cost[] =>
  addUp(costs, ({ function: name, place }) => `${name}  ${place}`);

/** What cost most with all that it called beyond our own functions. */
export const toOwners = (costs: readonly Costs[]): readonly Cost[] =>
  addUp(costs, ({ owner }) => owner || '(none of ours on the stack)');

/** By package, by part of ours, by module of Node, and what belongs to the engine. */
export const toGroups = (costs: readonly Costs[]): readonly Cost[] => addUp(costs, toGroup);

const toGroup = ({ function: name, place }: Costs): string => {
  if (place === '') return name === '(garbage collector)' ? 'garbage collector' : 'Node’s C++ and system calls';
  if (place.startsWith('wasm:')) return 'undici (llhttp)';
  if (place.startsWith('node:internal/deps/undici')) return 'undici, the one in Node';
  const parts = place.replace(/:\d+$/, '').split('/');
  if (place.startsWith('node:')) return parts.slice(0, 2).join('/');
  if (!place.startsWith('src/')) return parts.slice(0, place.startsWith('@') ? 2 : 1).join('/');
  return parts.slice(0, /^src\/(?:stores|transport|providers)\//.test(place) ? 3 : 2).join('/');
};
