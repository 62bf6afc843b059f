import { ElizaProvider } from '../../src/providers/eliza.ts';
import { systemClock, systemIds } from '../../src/system.ts';
import type { Clock } from '../../src/clock.ts';
import { describeProvider } from '../contract/provider.ts';
import { OllamaRig } from './ollama-rig.ts';

describeProvider('ollama', async () => {
  const rig = await OllamaRig.open({ ollama: { paceMs: 1 } });
  return {
    provider: rig.provider,
    model: 'tiny-chat',
    untilReleased: () => rig.ollama.ledger.until(({ entries }) => entries.every(({ outcome }) => outcome !== 'open')),
    [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose](),
  };
});

/** Time that passes at once: ELIZA's pauses are for people. */
const hurriedClock: Clock = { ...systemClock, sleep: async (_ms, signal) => signal?.throwIfAborted() };

describeProvider('eliza', async () => ({
  provider: new ElizaProvider({ clock: hurriedClock, ids: systemIds, standsInFor: 'llama3' }),
  model: 'eliza',
  untilReleased: async () => undefined, // there is no backend
  [Symbol.asyncDispose]: async () => undefined,
}));
