import { runClosedLoop, type ClosedLoop } from './closed-loop.ts';
import { runIdle, type Idle } from './idle.ts';
import { runPaced, type Paced } from './paced.ts';
import { runStuck, type Stuck } from './stuck.ts';

/** The clients, in a process of their own: each message is an order, each answer its figures. */

export type Order = ClosedLoop | Paced | Idle | Stuck;

const run = (order: Order): Promise<unknown> => {
  switch (order.type) {
    case 'closed-loop':
      return runClosedLoop(order);
    case 'paced':
      return runPaced(order);
    case 'idle':
      return runIdle(order);
    case 'stuck':
      return runStuck(order);
  }
};

process.on('message', (order: Order) => {
  run(order).then(
    (figures) => process.send?.({ type: 'figures', figures }),
    (error: unknown) => process.send?.({ type: 'failed', error: String(error) }),
  );
});
process.on('disconnect', () => process.exit(0));
process.send?.({ type: 'ready', port: 0 });
