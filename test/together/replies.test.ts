import { describe, expect, it } from 'vitest';
import { hasRedisServer } from '../support/redis-server.ts';
import { createGatedReply } from '../support/gated-reply.ts';
import type { Frame } from '../support/socket-client.ts';
import { begin, checkWatch, framesOf, Instances, sayEach, toNumbers } from './instances.ts';

describe.skipIf(!hasRedisServer)('a reply that is begun on one instance', () => {
  it('is watched live on another, event by event as its own clients see it', async () => {
    await using instances = await Instances.start();
    const { script, gate } = createGatedReply();
    instances.ollama.next(script);
    const here = await instances.at(0).connect();
    const there = await instances.at(1).connect();
    const messageId = await begin(here, 'Count!');
    there.send('llm_resume', { message_id: messageId, seq: 0 });
    const events = await instances.at(1).openEvents(`/replies/${messageId}/events`);
    await there.waitFor(({ data }) => data['text'] === 'one two');
    await events.waitFor(({ data }) => data['text'] === 'one two');
    expect(there.frames.some(({ data }) => data['text'] === ' three')).toBe(false);
    gate.open();
    await Promise.all([here.waitForEnd(), there.waitForEnd(), events.waitForEvent('llm_response')]);

    expect(checkWatch(framesOf(there.frames, messageId))).toBe('one two three');
    expect(numbered(there.frames)).toStrictEqual(numbered(here.frames));
    const told = events.events.map(({ event, data, text }) => ({ event, data, text }));
    expect(numbered(told).map(({ event, data }) => ({ event, data }))).toStrictEqual(
      numbered(here.frames).map(({ event, data }) => ({ event, data })),
    );
  });

  it('is resumed on another at every seq, exactly: while it runs, and when it has ended (AT-09)', async () => {
    const count = 60;
    await using instances = await Instances.start();
    const { script, gate } = createGatedReply('', ' end');
    const words = toNumbers(count);
    instances.ollama.next({
      ...script,
      steps: [...sayEach(words, { waitFor: gate }), { say: ' end' }, { done: true }],
      paceMs: 2,
    });
    const here = await instances.at(0).connect();
    const messageId = await begin(here, 'Count!');
    await here.waitFor(({ data }) => String(data['text']).endsWith(` ${count}`));
    const running = here.frames.filter(({ event }) => event === 'llm_delta');
    expect(running.length).toBeGreaterThan(count / 3);

    const resume = async (after: number): Promise<string> => {
      const there = await instances.at(1).connect();
      const before = running
        .slice(0, after)
        .map(({ data }) => data['text'])
        .join('');
      there.send('llm_resume', { message_id: messageId, seq: after, at: before.length });
      await there.waitForEnd();
      const text = checkWatch(framesOf(there.frames, messageId), { after, before });
      there[Symbol.dispose]();
      return text;
    };
    const whileItRuns = running.map((_, after) => resume(after));
    gate.open();
    await here.waitForEnd();
    const whole = `${words.join(' ')} end`;
    expect(new Set(await Promise.all(whileItRuns))).toStrictEqual(new Set([whole]));
    for (let after = 0; after <= running.length; after++) expect(await resume(after)).toBe(whole);
  });

  it.each(['socket', 'rest'] as const)(
    'is cancelled on another by %s: every watcher hears it once, and its backend is let go within a second',
    async (wire) => {
      await using instances = await Instances.start({ count: 3 });
      const { ollama } = instances;
      ollama.next([{ say: 'One' }, { say: ' two' }, { hang: true }]); // nothing is appended that could be refused
      const here = await instances.at(0).connect();
      const there = await instances.at(1).connect();
      const messageId = await begin(here, 'Count!');
      await here.waitFor(({ data }) => String(data['text']).endsWith('two'));
      there.send('llm_resume', { message_id: messageId, seq: 0 });
      await there.waitForEvent('llm_delta');

      const cancelledAt = performance.now();
      if (wire === 'socket') there.send('llm_cancel', { message_id: messageId });
      else await instances.at(2).post(`/replies/${messageId}/cancel`, undefined);
      await ollama.ledger.until(({ chats }) => chats.at(-1)?.outcome === 'left');
      expect(performance.now() - cancelledAt).toBeLessThan(1_000);
      for (const client of [here, there]) {
        expect((await client.waitForEnd()).data).toMatchObject({ finish_reason: 'cancelled', response: 'One two' });
        expect(checkWatch(framesOf(client.frames, messageId))).toBe('One two');
      }
    },
  );

  it('is repeated on another over both wires: the same reply, from its beginning', async () => {
    await using instances = await Instances.start({ count: 3 });
    const { script, gate } = createGatedReply();
    instances.ollama.next(script);
    const here = await instances.at(0).connect();
    const there = await instances.at(1).connect();
    const request = { conversation_id: 'c1', request_id: 'r1' };
    const messageId = await begin(here, 'Count!', request);
    expect(await begin(there, 'Count!', request)).toBe(messageId);
    const body = { conversation_id: 'c1', user_input: 'Count!', request_id: 'r1' };
    const answered = instances.at(2).post('/generate_response', body);
    const background = await instances.at(2).post('/generate_response', { ...body, background: true });
    expect(background.body).toMatchObject({ message_id: messageId, duplicate: true });
    const other = await instances.at(2).post('/generate_response', { ...body, user_input: 'Another question' });
    expect(other).toMatchObject({ status: 422, body: { code: 'request_conflict' } });
    gate.open();
    expect((await answered).body).toMatchObject({ message_id: messageId, response: 'one two three' });
    await there.waitForEnd();
    expect(checkWatch(framesOf(there.frames, messageId))).toBe('one two three');
    const late = await instances.at(1).post('/generate_response', body);
    expect(late.body).toMatchObject({ message_id: messageId, response: 'one two three' });
    expect(instances.ollama.ledger.chats).toHaveLength(1);
  });

  it('makes its conversation busy on every instance, until it has ended', async () => {
    await using instances = await Instances.start();
    const { script, gate } = createGatedReply();
    instances.ollama.next(script);
    const here = await instances.at(0).connect();
    const messageId = await begin(here, 'Count!');
    const there = await instances.at(1).connect();
    const refused = await there.request('And I?');
    expect(refused.data).toMatchObject({ code: 'conversation_busy', active_message_id: messageId });
    gate.open();
    await here.waitForEnd();
    expect((await there.request('And now?')).data).toMatchObject({ success: true });
    const { body } = await instances.at(0).call('/conversations/c1/messages');
    expect(body['messages']).toHaveLength(4);
  });
});

/** What stands in the log. */
const numbered = (frames: readonly Frame[]): readonly Frame[] =>
  frames.filter(({ data }) => data['seq'] !== undefined).map(({ event, data }) => ({ event, data, text: '' }));
