import { describe, expect, it } from 'vitest';
import type { SourcePart } from '../../src/replies/reply-writer.ts';
import { finish, say, ScriptedProvider } from '../support/scripted-provider.ts';
import { gate } from './faulty-store.ts';
import { Rig, SECOND } from './rig.ts';

/** A reply whose model goes on with `text`. */
const start = async (rig: Rig, text: string) => {
  const { record, token } = await rig.begin();
  const provider = new ScriptedProvider();
  const source = async function* (signal: AbortSignal): AsyncGenerator<readonly SourcePart[], void> {
    yield [{ type: 'text-so-far', text }];
    yield* provider.read(signal);
  };
  rig.replies.start(record, { token, source, arrivedAt: rig.clock.elapsed(), promptTokens: 7 });
  await rig.clock.settle();
  return { record, provider };
};

describe('the text so far', () => {
  it('is the beginning of the log, and of the text', async () => {
    await using rig = await Rig.open();
    const running = await start(rig, 'The kettle');
    running.provider.say(' is on.').finish();
    await rig.clock.settle();
    const { log, content } = await rig.stored(running);
    expect(log.map(({ event }) => event)).toMatchObject([
      { type: 'text-delta', at: 0, text: 'The kettle' },
      { type: 'text-delta', at: 10, text: ' is on.' },
      { type: 'end', length: 17 },
    ]);
    expect(content).toBe('The kettle is on.');
  });

  it('is a delta of its own, however late the store is', async () => {
    await using rig = await Rig.open();
    const other = await rig.start();
    const held = gate('after');
    rig.store.next('append', held.fault);
    other.provider.say('Wait.');
    await rig.clock.settle();
    const running = await start(rig, 'The kettle');
    running.provider.say(' is on.').finish();
    await rig.clock.settle();
    held.open();
    await rig.clock.settle();
    const { log } = await rig.stored(running);
    expect(log.map(({ event }) => event)).toMatchObject([{ text: 'The kettle' }, { text: ' is on.' }, { type: 'end' }]);
  });

  it('is neither the first token nor any of those that the model has made', async () => {
    await using rig = await Rig.open();
    const running = await start(rig, 'The kettle');
    await rig.clock.advance(3 * SECOND);
    running.provider.send(say(' is on.'), finish());
    await rig.clock.settle();
    const { end } = await rig.stored(running);
    expect(end).toMatchObject({
      usage: { promptTokens: 7, completionTokens: 1 },
      timings: { firstTokenMs: 3 * SECOND },
    });
  });

  it('is enough where the model has nothing to add', async () => {
    await using rig = await Rig.open();
    const running = await start(rig, 'The kettle is on.');
    running.provider.finish();
    await rig.clock.settle();
    expect(await rig.stored(running)).toMatchObject({ content: 'The kettle is on.', end: { finishReason: 'stop' } });
  });
});
