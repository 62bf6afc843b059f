import { describe, expect, it } from 'vitest';
import type { ChatUpdate } from '../../src/chat/results.ts';
import { HostsRig } from './hosts-rig.ts';

/**
 * A model that takes long to load: seconds here, which is longer than LLM_TIMEOUT all the same; two minutes, with the
 * default of LLM_TIMEOUT, by `npm run test:slow-load`.
 */
const LOAD_SECONDS = Number(process.env['LOAD_SECONDS'] ?? '12');
const TIMEOUT_SECONDS = LOAD_SECONDS >= 60 ? 30 : 1;
const MARGIN_MS = 60_000;

describe(`a load of ${LOAD_SECONDS} s, with a LLM_TIMEOUT of ${TIMEOUT_SECONDS} s`, () => {
  it(
    'is told at least every 10 s with the time that has gone by, and ends in an answer',
    async () => {
      const settings = { LLM_TIMEOUT: String(TIMEOUT_SECONDS), LLM_LOAD_TIMEOUT: '300' };
      await using rig = await HostsRig.open({ settings, loaded: [], ollamas: [{}] });
      rig.ollama(0).nextLoad({ ms: LOAD_SECONDS * 1_000 });
      const told: { readonly elapsedMs: number; readonly at: number }[] = [];
      let last: ChatUpdate | undefined;
      for await (const update of rig.chat.streamResponse('c1', 'hello')) {
        last = update;
        if (update.type !== 'status' || update.status.state !== 'model_loading') continue;
        told.push({ elapsedMs: update.status.elapsedMs, at: performance.now() });
      }
      expect(last?.type).toBe('entries');
      expect(rig.asked).toEqual([1]);
      expect(told.length).toBeGreaterThanOrEqual(Math.floor(LOAD_SECONDS / 10) + 1);
      expect(told.at(-1)?.elapsedMs).toBeGreaterThanOrEqual((LOAD_SECONDS - 10) * 1_000);
      for (const [index, { at }] of told.slice(1).entries())
        expect(at - (told[index]?.at ?? 0)).toBeLessThanOrEqual(10_200);
      expect(await rig.chat.getConversation('c1')).toMatchObject({ success: true, messageCount: 2 });
      const page = await rig.chat.listMessages('c1');
      expect(page).toMatchObject({ messages: [{ role: 'user' }, { outcome: { state: 'done' } }] });
    },
    LOAD_SECONDS * 1_000 + MARGIN_MS,
  );

  it('is over before anybody asks where the model is loaded at the start, on each host', async () => {
    await using rig = await HostsRig.open({ settings: { LLM_PRELOAD: 'true' }, loaded: [] });
    for (const { ledger } of rig.ollamas) await ledger.until(({ loads }) => loads[0]?.outcome === 'loaded');
    expect(await rig.chat.generateResponse('c1', 'hello')).toMatchObject({ success: true });
    expect(rig.ollamas.map(({ ledger }) => ledger.loads.length)).toEqual([1, 1]);
  });
});
