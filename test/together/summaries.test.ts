import { describe, expect, it } from 'vitest';
import { createGate } from '../support/scripted-ollama/scripted-ollama.ts';
import { isAboutSummary, toMessages } from '../chat/summary-rig.ts';
import { saying } from '../chat/again-rig.ts';
import { hasRedisServer } from '../support/redis-server.ts';
import type { Answer, RunningService } from '../support/running-service.ts';
import { Instances } from './instances.ts';

const ask = (service: RunningService, body: object): Promise<Answer> =>
  service.post('/generate_response', { conversation_id: 'c1', ...body });

const read = async (service: RunningService): Promise<unknown> =>
  (await service.call('/conversations/c1')).body['summary'];

/** The figures of an instance count what it has asked the store. */
const keptSummary = async (service: RunningService): Promise<void> => {
  const figure = /^llm_store_seconds_count\{[^}]*operation="keepSummary"[^}]*\} 1$/m;
  await expect.poll(async () => (await service.call('/metrics')).text).toMatch(figure);
};

/** Replies say `A`; a summary says how many messages it was made of, without system prompt and instruction. */
const startInstances = async () => {
  const instances = await Instances.start({ count: 2, settings: { LLM_SUMMARIZE: 'true', LLM_MAX_TURNS: '4' } });
  const held = createGate();
  const steps = ({ request: { messages } }: { request: { messages: readonly { role: string; content: string }[] } }) =>
    isAboutSummary(messages) ? [{ waitFor: held }, ...saying(`Of ${messages.length - 2}.`)] : saying('A');
  instances.ollama.next(...Array.from({ length: 20 }, () => ({ steps })));
  return { instances, held };
};

describe.skipIf(!hasRedisServer)('a summary that another instance has made', () => {
  it('is told from the next cut on, and is gone when what it sums up is edited', async () => {
    const { instances, held } = await startInstances();
    await using _all = instances;
    for (const user_input of ['q1', 'q2', 'q3']) await ask(instances.at(0), { user_input });
    await held.reached;
    held.open();
    await keptSummary(instances.at(0));
    for (const user_input of ['q4', 'q5']) await ask(instances.at(1), { user_input });
    expect(await read(instances.at(0))).toMatchObject({ text: 'Of 4.', position: 4 });
    const sent = instances.ollama.ledger.chats.map(toMessages).findLast((messages) => !isAboutSummary(messages));
    expect(sent?.[0]?.content).toMatch(/Of 4\.$/);
    expect(sent?.slice(1).map(({ content }) => content)).toEqual(['q3', 'A', 'q4', 'A', 'q5']);

    const page = await instances.at(0).call('/conversations/c1/messages');
    const [first] = page.body['messages'] as { message_id: string }[]; // as the document says
    expect((await ask(instances.at(0), { edit: first?.message_id, user_input: 'q1b' })).status).toBe(200);
    expect(await read(instances.at(1))).toBeNull();
  });
});
