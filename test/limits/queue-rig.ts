import { FairQueue, type FairQueueOptions } from '../../src/limits/fair-queue.ts';
import type { Place, QueuePosition } from '../../src/limits/queued-place.ts';
import { ScriptedBoard, type ScriptedHost } from '../support/scripted-board.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

export interface RigOptions extends Partial<Omit<FairQueueOptions, 'clock' | 'board'>> {
  readonly hosts?: Readonly<Record<string, Partial<ScriptedHost>>>;
}

/** A queue in virtual time, by default before one host with one slot that has the model `m` loaded. */
export const openQueue = ({ hosts, ...options }: RigOptions = {}) => {
  const clock = new VirtualClock();
  const board = new ScriptedBoard(hosts);
  const queue = new FairQueue({
    clock,
    board,
    slots: 1,
    limit: 32,
    timeoutMs: 120_000,
    awayTimeoutMs: 30_000,
    ...options,
  });
  /** Each caller has one conversation. */
  const enter = (caller: string, model = 'm', conversation = caller): Place =>
    queue.enter({ caller, model, conversation });
  return { clock, board, queue, enter };
};

/** Waits for a place's turn; gives the positions that it was told, and the host once it has one. */
export const follow = (place: Place, signal = new AbortController().signal) => {
  const positions: QueuePosition[] = [];
  const turn = (async () => {
    for await (const position of place.wait(signal)) positions.push(position);
    return place.host;
  })();
  const seen = { positions, turn, host: undefined as string | undefined };
  turn.then(
    (host) => (seen.host = host),
    () => undefined, // looked at by whoever awaits the turn
  );
  return seen;
};

/** A host with these models, of which it has these loaded. */
export const host = (models: string, loaded = '', more: Partial<ScriptedHost> = {}): Partial<ScriptedHost> => ({
  models: new Set(models),
  loaded: new Set(loaded),
  ...more,
});
