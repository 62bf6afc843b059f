import { Child } from '../measure/child.ts';
import type { ClosedLoop, ClosedLoopFigures } from './closed-loop.ts';
import type { Idle, IdleFigures } from './idle.ts';
import type { Order } from './load-process.ts';
import type { Paced, PacedFigures } from './paced.ts';
import type { Stuck, StuckFigures } from './stuck.ts';

/** Ten thousand sockets, and some more. */
const OPEN_FILES = 16_384;

/** What each order is answered with. */
interface Figures {
  readonly 'closed-loop': ClosedLoopFigures;
  readonly paced: PacedFigures;
  readonly idle: IdleFigures;
  readonly stuck: StuckFigures;
}

export interface LoadClient extends AsyncDisposable {
  readonly pid: number;
  closedLoop(order: Omit<ClosedLoop, 'type'>): Promise<ClosedLoopFigures>;
  paced(order: Omit<Paced, 'type'>): Promise<PacedFigures>;
  idle(order: Omit<Idle, 'type'>): Promise<IdleFigures>;
  stuck(order: Omit<Stuck, 'type'>): Promise<StuckFigures>;
}

/** The process of the clients, one order at a time. */
export const startLoadClient = async (): Promise<LoadClient> => {
  const child = new Child({ file: 'bench/load/load-process.ts', openFiles: OPEN_FILES });
  await child.listens();
  let onAnswer: ((answer: Answer) => void) | undefined;
  let onExit: ((error: Error) => void) | undefined;
  child.process.on('message', (answer: Answer) => onAnswer?.(answer));
  child.process.once('exit', () => onExit?.(new Error(`the client has ended:\n${child.output}`)));
  const run = async <Type extends Order['type']>(order: Order & { readonly type: Type }): Promise<Figures[Type]> => {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    [onAnswer, onExit] = [resolve, reject];
    child.process.send(order);
    const answer = await promise;
    if (answer.type === 'failed') throw new Error(answer.error);
    return answer.figures as Figures[Type]; // the answer to this order
  };
  return {
    pid: child.pid,
    closedLoop: (order) => run({ type: 'closed-loop', ...order }),
    paced: (order) => run({ type: 'paced', ...order }),
    idle: (order) => run({ type: 'idle', ...order }),
    stuck: (order) => run({ type: 'stuck', ...order }),
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  };
};

type Answer =
  | { readonly type: 'figures'; readonly figures: unknown }
  | { readonly type: 'failed'; readonly error: string };
