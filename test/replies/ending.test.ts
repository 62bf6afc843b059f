import { describe, expect, it } from 'vitest';
import { BackendTimeoutError, BackendUnavailableError } from '../../src/errors.ts';
import { finish, say, think } from '../support/scripted-provider.ts';
import { gate } from './faulty-store.ts';
import { Rig, SECOND } from './rig.ts';

const KIB = 1024;

describe('a reply whose backend fails', () => {
  it.each([
    ['before the first word', []],
    ['after it', ['The ', 'kettle']],
  ])('%s ends with its text, and says why', async (_, texts) => {
    await using rig = await Rig.open();
    const running = await rig.start();
    const watcher = rig.watch(running.record);
    running.provider.say(...texts).fail(new BackendUnavailableError('The host is away.', { retryAfterMs: 250 }));
    await rig.clock.settle();
    const { end, log } = await rig.stored(running);
    expect(end).toMatchObject({
      state: 'failed',
      failure: { code: 'backend_unavailable', message: 'The host is away.', retryAfterMs: 250 },
      text: texts.join(''),
      usage: { source: 'estimated' },
    });
    expect(watcher.entries).toStrictEqual(log);
  });

  it('by an error that is nobody’s tells the operator, and no client what it was', async () => {
    await using rig = await Rig.open();
    const running = await rig.start();
    running.provider.fail(new TypeError('secret is not a function'));
    await rig.clock.settle();
    const { end } = await rig.stored(running);
    expect(end.failure?.code).toBe('internal_error');
    expect(JSON.stringify(end)).not.toContain('secret');
    expect(rig.unexpected).toMatchObject([{ cause: { message: 'secret is not a function' } }]);
  });

  it('by ending without a finish is no success', async () => {
    await using rig = await Rig.open();
    const running = await rig.start();
    running.provider.say('Half a sen').end();
    await rig.clock.settle();
    const { end } = await rig.stored(running);
    expect(end).toMatchObject({ state: 'failed', failure: { code: 'backend_error' }, text: 'Half a sen' });
  });

  it.each([
    ['stop', 'Ask in other words'],
    ['length', 'larger max_tokens'],
  ] as const)('by not saying a word (%s) says what to do', async (finishReason, advice) => {
    await using rig = await Rig.open();
    const running = await rig.start();
    running.provider.send(think('Hm.'), finish({ finishReason }));
    await rig.clock.settle();
    const { end, thinking } = await rig.stored(running);
    expect(end).toMatchObject({ state: 'failed', failure: { code: 'empty_response' } });
    expect(end.failure?.message).toContain(advice);
    expect(thinking).toBe('Hm.');
  });
});

describe('a reply that takes too long', () => {
  it('ends with its text when the whole time is over, and the backend is let go', async () => {
    await using rig = await Rig.open({ turnTimeoutMs: 30 * SECOND });
    const running = await rig.start();
    for (let second = 0; second < 31; second++) {
      running.provider.say(`${second} `);
      await rig.clock.advance(SECOND);
    }
    const { end } = await rig.stored(running);
    expect(end).toMatchObject({ state: 'failed', failure: { code: 'backend_timeout' } });
    expect(end.failure?.message).toContain('30 s (LLM_TURN_TIMEOUT)');
    expect(end.text).toMatch(/^0 1 2 .* 29 $/);
    expect(running.provider.abortReason).toBeInstanceOf(BackendTimeoutError);
  });

  it('ends in time though the backend does not let go, and takes nothing more from it', async () => {
    await using rig = await Rig.open({ turnTimeoutMs: 30 * SECOND });
    const running = await rig.start();
    running.provider.holdOn();
    const watcher = rig.watch(running.record);
    running.provider.say('The kettle');
    await rig.clock.advance(30 * SECOND);
    running.provider.say(' boils.');
    await rig.clock.advance(SECOND);
    expect(watcher.end).toMatchObject({ text: 'The kettle', failure: { code: 'backend_timeout' } });
    expect(watcher.isOver).toBe(true);
    await rig.stored(running);
  });

  it('ends in time though the store is full of what waits', async () => {
    await using rig = await Rig.open({ turnTimeoutMs: 30 * SECOND });
    const held = gate('after');
    const running = await rig.start();
    rig.store.next('append', held.fault);
    for (let read = 0; read < 20; read++) running.provider.say('x'.repeat(8 * KIB));
    await rig.clock.advance(31 * SECOND);
    held.open();
    await rig.clock.settle();
    expect((await rig.stored(running)).end).toMatchObject({ failure: { code: 'backend_timeout' } });
  });
});

describe('a reply without an end', () => {
  it('is cut at 256 KiB of text, and its backend aborted', async () => {
    await using rig = await Rig.open();
    const running = await rig.start();
    for (let read = 0; read < 40; read++) {
      running.provider.send(say('😀'.repeat(4 * KIB))); // 8 Ki units
      await rig.clock.settle();
    }
    const { end } = await rig.stored(running);
    expect(end).toMatchObject({ state: 'done', finishReason: 'length', length: 256 * KIB });
    expect(running.provider.taken).toBe(33);
    expect(running.provider.abortReason).toBeDefined();
  });

  it('is cut to the unit, but not inside of a pair, also when one read brings all of it', async () => {
    await using rig = await Rig.open();
    const running = await rig.start();
    running.provider.send(say('x'), say('😀'.repeat(200 * KIB)), finish());
    await rig.clock.settle();
    const { end } = await rig.stored(running);
    expect(end).toMatchObject({ finishReason: 'length', length: 256 * KIB - 1 });
    expect(end.text.endsWith('😀')).toBe(true);
  });

  it('is cut at 8192 events, and its backend aborted', async () => {
    await using rig = await Rig.open();
    const running = await rig.start();
    for (let read = 0; read < 5; read++) {
      running.provider.send(...Array.from({ length: 1_000 }, () => [think('.'), say('.')]).flat());
      await rig.clock.settle();
    }
    const { end, log } = await rig.stored(running);
    expect(end).toMatchObject({ state: 'done', finishReason: 'length' });
    expect(log).toHaveLength(8192 + 1);
    expect(running.provider.abortReason).toBeDefined();
  });
});

describe('back-pressure', () => {
  it('stops reading the backend while much is not stored, and goes on when it is', async () => {
    await using rig = await Rig.open();
    const held = gate('before');
    rig.store.next('append', held.fault);
    const running = await rig.start();
    for (let read = 0; read < 24; read++) running.provider.say('x'.repeat(8 * KIB));
    running.provider.finish();
    await rig.clock.advance(SECOND);
    expect(running.provider.taken).toBe(9); // 72 Ki units, more than 64
    held.open();
    await rig.clock.settle();
    expect((await rig.stored(running)).end).toMatchObject({ finishReason: 'stop', length: 24 * 8 * KIB });
  });
});
