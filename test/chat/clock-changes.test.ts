import { describe, expect, it } from 'vitest';
import { openChatRig } from '../support/chat-service.ts';
import { createGate } from '../support/scripted-ollama/gate.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

const HOUR_MS = 3_600_000;

/** More than the coarse timer needs to look at every deadline, and less than any deadline. */
const A_LOOK_MS = 2_000;

describe.each([
  { change: 'an hour forward', ms: HOUR_MS },
  { change: 'a day forward', ms: 24 * HOUR_MS },
  { change: 'an hour back', ms: -HOUR_MS },
])('the time of day is set $change', ({ ms }) => {
  it('and the replies that run end as if nothing had been', async () => {
    const clock = new VirtualClock();
    await using rig = await openChatRig({
      settings: { LLM_CONCURRENCY: '2' },
      ollama: { parallel: 2 },
      surroundings: { clock },
    });
    const gates = [createGate(), createGate()] as const;
    rig.ollama.next(
      { steps: [{ say: 'The kettle' }, { waitFor: gates[0] }, { say: ' boils.' }, { done: true }] },
      { steps: [{ waitFor: gates[1] }, { say: 'It does.' }, { done: true }] },
    );
    const answers = [rig.chat.generateResponse('c1', 'one'), rig.chat.generateResponse('c2', 'two')];
    await Promise.all(gates.map(({ reached }) => reached));
    clock.setWallForward(ms);
    await clock.advance(A_LOOK_MS);
    for (const gate of gates) gate.open();
    const told = await Promise.all(answers);
    expect(told).toMatchObject([
      { success: true, response: 'The kettle boils.', finishReason: 'stop' },
      { success: true, response: 'It does.', finishReason: 'stop' },
    ]);
    for (const answer of told) {
      const { queuedMs, totalMs } = answer.success ? answer.timings : { queuedMs: -1, totalMs: -1 };
      expect(queuedMs).toBeGreaterThanOrEqual(0);
      expect(totalMs).toBeLessThanOrEqual(A_LOOK_MS + 1_000);
    }
  });

  it('and a host that hangs is given up in its time', async () => {
    const clock = new VirtualClock();
    await using rig = await openChatRig({
      settings: { LLM_TIMEOUT: '30', LLM_MAX_RETRIES: '0' },
      surroundings: { clock },
    });
    const gate = createGate();
    rig.ollama.next({ steps: [{ say: 'The' }, { waitFor: gate }] });
    const answering = rig.chat.generateResponse('c1', 'one');
    await gate.reached;
    clock.setWallForward(ms);
    await clock.advance(31_000);
    expect(await answering).toMatchObject({ success: false, code: 'backend_timeout', response: 'The' });
  });

  it('and a minute’s requests are counted as before', async () => {
    const clock = new VirtualClock();
    await using rig = await openChatRig({ settings: { LLM_RATE_LIMIT: '1' }, surroundings: { clock } });
    expect(await rig.chat.generateResponse('c1', 'one')).toMatchObject({ success: true });
    clock.setWallForward(ms);
    expect(await rig.chat.generateResponse('c1', 'two')).toMatchObject({ success: false, code: 'rate_limited' });
    await clock.advance(60_000);
    expect(await rig.chat.generateResponse('c1', 'two')).toMatchObject({ success: true });
  });
});
