import { describe, expect, it } from 'vitest';
import { ask, cutShort, list, openAgainRig, saying } from './again-rig.ts';

describe('a reply that another has gone on with', () => {
  it('is read as it ended, while its log lives', async () => {
    await using rig = await openAgainRig();
    const first = await ask(rig, 'Count', cutShort('One '));
    const second = await ask(rig, '', cutShort('two '), { continue: first.messageId });
    await ask(rig, '', saying('three.'), { continue: second.messageId });
    expect(await rig.chat.getReply(first.messageId)).toMatchObject({
      texts: { content: 'One ', seq: first.seq, end: { finishReason: 'length', digest: first.digest } },
    });
    expect(await rig.chat.getReply(second.messageId)).toMatchObject({
      texts: { content: 'One two ', seq: second.seq, end: { finishReason: 'length', digest: second.digest } },
    });
  });

  it('keeps what the model thought before it began', async () => {
    await using rig = await openAgainRig();
    const thought = [{ think: 'Numbers. ' }, ...cutShort('One ')];
    const first = await ask(rig, 'Count', thought, { think: true });
    const second = await ask(rig, '', cutShort('two '), { continue: first.messageId });
    await ask(rig, '', saying('three.'), { continue: second.messageId });
    expect((await list(rig.chat)).at(-1)).toMatchObject({ content: 'One two three.', thinking: 'Numbers. ' });
  });
});

describe('what continue costs', () => {
  it('is not free again when the conversation is deleted', async () => {
    await using rig = await openAgainRig({ LLM_RATE_LIMIT: '4' });
    const first = await ask(rig, 'Count', cutShort('One '), { requestId: 'r1' });
    await ask(rig, '', cutShort('two '), { requestId: 'r2', continue: first.messageId });
    await ask(rig, '', cutShort('three '), { requestId: 'r3', continue: first.messageId });
    await rig.chat.deleteConversation('c1');
    await ask(rig, 'Count', cutShort('One '), { requestId: 'r1' });
    expect(await rig.chat.generateResponse('c1', 'Go on', { requestId: 'r2' })).toMatchObject({ code: 'rate_limited' });
  });
});
