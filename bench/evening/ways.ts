import type { Clock } from '../../src/clock.ts';
import { FairQueue } from '../../src/limits/fair-queue.ts';
import type { HostBoard } from '../../src/limits/host-board.ts';
import type { HostSpeed, Question, SimulatedHost } from './simulated-host.ts';

/** A way to bring questions to hosts. */
export interface Way {
  readonly name: string;
  open(evening: Evening): Answering;
}

export interface Evening {
  readonly clock: Clock;
  readonly hosts: readonly SimulatedHost[];
  readonly speed: HostSpeed;
}

/** Resolves when the answer has ended, with the instant of its first word. */
export type Answering = (question: Question) => Promise<number>;

/** Nobody is refused and nobody leaves, so that all three are asked the same. */
const WITHOUT_BOUNDS = { limit: 1_000_000, timeoutMs: 1_000_000_000, awayTimeoutMs: 1_000_000_000 };

export const WAYS: readonly Way[] = [
  {
    name: 'one fair queue, the host chosen at the turn',
    open: (evening) => {
      const queue = openQueue(evening, evening.hosts);
      return async (question) => askIn(queue, question, evening.hosts);
    },
  },
  {
    name: 'a host by chance, a fair queue for each',
    open: (evening) => {
      const queues = evening.hosts.map((host) => openQueue(evening, [host]));
      return async (question) => askIn(choose(queues, question), question, evening.hosts);
    },
  },
  {
    name: 'a host by chance, its own line',
    open:
      ({ hosts }) =>
      async (question) =>
        choose(hosts, question).answer(question),
  },
];

const choose = <One>(all: readonly One[], { chance }: Question): One => {
  const chosen = all[Math.floor(chance * all.length)];
  if (chosen === undefined) throw new Error('there is nothing to choose from');
  return chosen;
};

const openQueue = ({ clock, speed }: Evening, hosts: readonly SimulatedHost[]): FairQueue =>
  new FairQueue({ clock, board: toBoard(hosts, speed), slots: 1, ...WITHOUT_BOUNDS });

const askIn = async (queue: FairQueue, question: Question, hosts: readonly SimulatedHost[]): Promise<number> => {
  using place = queue.enter(question);
  const turn = place.wait(new AbortController().signal);
  while (!(await turn.next()).done); // nobody looks at the positions
  const host = hosts.find(({ name }) => name === place.host);
  if (!host) throw new Error(`there is no host ${place.host}`);
  return await host.answer(question);
};

const toBoard = (hosts: readonly SimulatedHost[], { loadMs }: HostSpeed): HostBoard => ({
  hosts: hosts.map(({ name }) => name),
  view: (model) =>
    hosts.map((host) => ({ host: host.name, state: 'up', hasModel: true, isLoaded: host.has(model), loadMs })),
  seek: () => undefined,
  onChange: () => ({ [Symbol.dispose]: () => undefined }), // nothing fails on this evening
});
