import { describe, expect, it } from 'vitest';
import { cutShort, failing, saying } from '../chat/again-rig.ts';
import { hasRedisServer } from '../support/redis-server.ts';
import type { Answer, RunningService } from '../support/running-service.ts';
import { checkWatch, framesOf, Instances } from './instances.ts';

const ask = (service: RunningService, body: object): Promise<Answer> =>
  service.post('/generate_response', { conversation_id: 'c1', ...body });

interface Listed {
  readonly message_id: string;
  readonly content: string;
  readonly active: boolean;
}

const list = async (service: RunningService): Promise<readonly Listed[]> =>
  (await service.call('/conversations/c1/messages')).body['messages'] as Listed[]; // as the document says

const textsOf = (messages: readonly Listed[]): readonly string[] =>
  messages.map(({ content, active }) => (active ? content : `[${content}]`));

const lastSent = ({ ollama }: Instances): readonly string[] => {
  const { messages } = Object(ollama.ledger.chats.at(-1)?.body) as { messages: { role: string; content: string }[] }; // as Ollama takes it
  const question = messages.findLastIndex(({ role }) => role === 'user');
  return messages.slice(1, question + 1).map(({ content }) => content);
};

describe.skipIf(!hasRedisServer)('what is asked again on another instance', () => {
  it('goes on with a reply, and is followed from a third', async () => {
    await using instances = await Instances.start({ count: 3 });
    instances.ollama.next(cutShort('One two '), saying('three.'), saying('Gladly.'));
    const continues = (await ask(instances.at(0), { user_input: 'Count' })).body['message_id'];
    const watcher = await instances.at(2).connect();
    const { body } = await ask(instances.at(1), { continue: continues, background: true });
    const messageId = String(body['message_id']);
    watcher.send('llm_resume', { message_id: messageId, seq: 0 });
    expect((await watcher.waitForEnd()).data).toMatchObject({ continues, message_id: messageId });
    expect(checkWatch(framesOf(watcher.frames, messageId))).toBe('One two three.');
    expect(textsOf(await list(instances.at(0)))).toEqual(['Count', 'One two three.']);
    await ask(instances.at(2), { user_input: 'Thanks' });
    expect(lastSent(instances)).toEqual(['Count', 'One two three.', 'Thanks']);
  });

  it('takes the place of what was there, when it is answered', async () => {
    await using instances = await Instances.start({ count: 2, settings: { LLM_MAX_TURNS: '4' } });
    const replies: unknown[] = [];
    for (const turn of [1, 2, 3, 4, 5, 6]) {
      instances.ollama.next(saying(`A${turn}`));
      replies.push((await ask(instances.at(turn), { user_input: `q${turn}` })).body['message_id']);
    }
    instances.ollama.next(failing(), saying('A3b'), saying('A2b'), saying('A7'));
    const failed = await ask(instances.at(0), { regenerate: replies[2] });
    expect(failed.body).toMatchObject({ success: false });
    expect((await list(instances.at(1))).every(({ active }) => active)).toBe(true);

    expect((await ask(instances.at(1), { regenerate: failed.body['message_id'] })).status).toBe(200);
    expect(lastSent(instances)).toEqual(['q1', 'A1', 'q2', 'A2', 'q3']);
    const question = (await list(instances.at(0))).find(({ content }) => content === 'q2')?.message_id;
    await ask(instances.at(0), { edit: question, user_input: 'q2b' });
    expect(lastSent(instances)).toEqual(['q1', 'A1', 'q2b']);
    await ask(instances.at(1), { user_input: 'q7' });
    expect(lastSent(instances)).toEqual(['q1', 'A1', 'q2b', 'A2b', 'q7']);
    const replaced = ['q2', 'A2', 'q3', 'A3', 'q4', 'A4', 'q5', 'A5', 'q6', 'A6', '', 'A3b'].map((text) => `[${text}]`);
    const texts = ['q1', 'A1', ...replaced, 'q2b', 'A2b', 'q7', 'A7'];
    expect(textsOf(await list(instances.at(0)))).toEqual(texts);
  });
});
