import { describe, expect, it } from 'vitest';
import { estimateTextTokens } from '../../src/conversation/tokens.ts';
import { DEFAULT_RETENTION, LEASE_MS, type ReplyRecord } from '../../src/stores/chat-store.ts';
import { beginAgain, toAppend } from '../contract/chat-store/fixtures.ts';
import { ScriptedProvider } from '../support/scripted-provider.ts';
import { Rig, type Running, SECOND } from './rig.ts';

describe('a reply that goes on with another', () => {
  it('ends with the message of that one, grown', async () => {
    await using rig = await Rig.open();
    const first = await rig.startEnded('The ', 'kettle');
    const second = await startContinuation(rig, first.record);
    second.provider.say('The kettle').say(' boils.').finish();
    await rig.clock.settle();

    expect(await rig.stored(second)).toMatchObject({ content: 'The kettle boils.', end: { state: 'done' } });
    const message = await rig.store.loadReplyMessage(second.record.messageId);
    expect(message).toMatchObject({ id: first.record.messageId, requestId: second.record.requestId });
    expect(rig.store.finishes.at(-1)).toMatchObject({ messageId: second.record.messageId });
    expect(await rig.store.loadReplyMessage(first.record.messageId)).toStrictEqual(message);
  });

  it('leaves the end of the first one as it was told while its log lives', async () => {
    await using rig = await Rig.open();
    const first = await rig.startEnded('The ', 'kettle');
    const { log } = await rig.stored(first);
    await goOn(rig, first);
    await rig.clock.advance(60 * SECOND); // its memory is gone, its log is not
    const watcher = rig.watch(first.record);
    await rig.clock.settle();
    expect(watcher.entries).toStrictEqual(log);
    expect(watcher.isOver).toBe(true);
  });

  it('gives the first one, when its log is over, its own number and state, and the text as it has grown', async () => {
    await using rig = await Rig.open();
    const first = await rig.start();
    first.provider.say('The kettle');
    await rig.clock.settle();
    await rig.replies.cancel(first.record);
    await rig.clock.settle();
    const second = await goOn(rig, first);
    await rig.clock.jump(DEFAULT_RETENTION.logMs + SECOND);

    const own = { seq: 2, text: 'The kettle boils.', state: 'cancelled', finishReason: 'cancelled' };
    expect(await toEnd(rig, first)).toMatchObject(own);
    expect(await toEnd(rig, second)).toMatchObject({ seq: 3, text: own.text, state: 'done', finishReason: 'stop' });
    const record = await loadRecord(rig, first);
    expect(await rig.replies.view(record)).toMatchObject({ content: own.text, seq: 2, end: { state: 'cancelled' } });
  });

  it('says of a first one that was done that it had reached its number of tokens', async () => {
    await using rig = await Rig.open();
    const first = await rig.startEnded('The kettle');
    await goOn(rig, first);
    await rig.clock.jump(DEFAULT_RETENTION.logMs + SECOND);
    expect(await toEnd(rig, first)).toMatchObject({ text: 'The kettle boils.', state: 'done', finishReason: 'length' });
  });

  it('is read as it ended while its log lives, and not as it has grown', async () => {
    await using rig = await Rig.open();
    const first = await rig.startEnded('The kettle');
    const { end } = await rig.stored(first);
    await goOn(rig, first);
    const view = await rig.replies.view(await loadRecord(rig, first));
    expect(view).toMatchObject({ content: 'The kettle', end });
  });

  it('says of a first one that had failed that it broke off', async () => {
    await using rig = await Rig.open();
    const first = await rig.begin('before');
    await rig.store.append([toAppend({ messageId: first.record.messageId, token: first.token }, 1, 'The kettle')]);
    await rig.replies.initialize();
    await goOn(rig, first);
    await rig.clock.jump(DEFAULT_RETENTION.logMs + SECOND);
    expect(await toEnd(rig, first)).toMatchObject({ seq: 2, state: 'failed', failure: { code: 'interrupted' } });
  });
});

describe('an abandoned reply', () => {
  it('has used the prompt that was estimated when it began', async () => {
    await using rig = await Rig.open();
    const reply = await rig.begin();
    await rig.clock.advance(LEASE_MS + 2 * SECOND);
    const { end } = await rig.stored(reply);
    expect(end.usage).toStrictEqual({ promptTokens: 10, completionTokens: 0, source: 'estimated' });
  });
});

describe('an abandoned reply that goes on with another', () => {
  it('has made only the tokens behind the text so far', async () => {
    await using rig = await Rig.open();
    const first = await rig.startEnded('The kettle of the whole house');
    const { conversationId, messageId } = first.record;
    const harness = { store: rig.store, instance: 'before', now: () => rig.clock.now() };
    const continues = { messageId, position: 2 };
    const second = await beginAgain(harness, { conversationId, questionPosition: 1, continues });
    await rig.store.append([toAppend(second, 1, 'The kettle of the whole house', ' boils.')]);
    await rig.replies.initialize();
    const message = await rig.store.loadReplyMessage(second.messageId);
    expect(message).toMatchObject({ content: 'The kettle of the whole house boils.', outcome: { state: 'failed' } });
    expect(message?.outcome.usage.completionTokens).toBe(estimateTextTokens(' boils.'));
  });
});

/** Writes a reply that goes on with the answer to the first question of a conversation. */
const startContinuation = async (rig: Rig, { conversationId, messageId, instance }: ReplyRecord): Promise<Running> => {
  const harness = { store: rig.store, instance, now: () => rig.clock.now() };
  const continues = { messageId, position: 2 };
  const begun = await beginAgain(harness, { conversationId, questionPosition: 1, continues });
  const record = await loadRecord(rig, { record: begun });
  const provider = new ScriptedProvider();
  rig.replies.start(record, {
    token: begun.token,
    source: (signal) => provider.read(signal),
    arrivedAt: rig.clock.elapsed(),
    promptTokens: 7,
    onPromptMeasured: () => undefined,
  });
  await rig.clock.settle();
  return { record, provider };
};

const goOn = async (rig: Rig, first: { readonly record: ReplyRecord }): Promise<Running> => {
  const second = await startContinuation(rig, first.record);
  second.provider.say('The kettle');
  await rig.clock.settle();
  second.provider.say(' boils.').finish();
  await rig.clock.settle();
  return second;
};

const loadRecord = async (
  { store }: Rig,
  { record }: { readonly record: { readonly messageId: string } },
): Promise<ReplyRecord> => {
  const loaded = await store.loadReply(record.messageId);
  if (!loaded) throw new Error('The reply is not there.');
  return loaded;
};

/** How a watcher hears that a reply has ended, and under which number. */
const toEnd = async (rig: Rig, { record }: { readonly record: ReplyRecord }): Promise<unknown> => {
  const watcher = rig.watch(record);
  await rig.clock.settle();
  const entry = watcher.entries.at(-1);
  return { ...entry?.event, seq: entry?.seq };
};
