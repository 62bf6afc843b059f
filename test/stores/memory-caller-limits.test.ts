import { MemoryCallerLimits } from '../../src/stores/memory-caller-limits.ts';
import { describeCallerLimits } from '../contract/caller-limits.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

describeCallerLimits('in memory', async () => {
  const clock = new VirtualClock();
  return {
    limits: new MemoryCallerLimits(clock),
    now: () => clock.now(),
    advance: (ms) => clock.advance(ms),
    [Symbol.asyncDispose]: async () => undefined,
  };
});
