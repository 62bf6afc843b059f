import { afterEach, describe, expect, it } from 'vitest';
import type { LLMChatService } from '../../src/chat/llm-chat-service.ts';
import type { ReplyStatus } from '../../src/replies/reply-status.ts';
import { openChatRig, type ChatRigOptions } from '../support/chat-service.ts';
import { createGate, type Gate, type PullStep, ScriptedOllama } from '../support/scripted-ollama/scripted-ollama.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import { createLog } from '../../src/telemetry/log.ts';

/** LLM_AUTO_PULL: models that may be named and that no host has are downloaded. */

const AUTO = { LLM_AUTO_PULL: 'true', LLM_MODELS: 'llama3', LLM_MAX_RETRIES: '0' };

/** A download that stops halfway until the test opens the gate, and goes on as `rest` says. */
const halfway = (gate: Gate, ...rest: readonly PullStep[]): readonly PullStep[] => [
  { layer: 'weights', total: 1000, completed: 500 },
  { waitFor: gate },
  ...(rest.length > 0 ? rest : [{ success: true } as const]),
];

const open = async ({ settings, surroundings, ...options }: ChatRigOptions = {}) => {
  const lines: Record<string, unknown>[] = [];
  const write = (line: string): void => void lines.push(JSON.parse(line) as Record<string, unknown>); // pino's own
  const log = createLog({ level: 'info', pretty: false, destination: { write } });
  const rig = await openChatRig({
    ...options,
    settings: { ...AUTO, ...settings },
    surroundings: { ...surroundings, log },
  });
  return Object.assign(rig, { lines });
};

type Statuses = readonly ReplyStatus[];

/** One request and all that it is told. */
const ask = (chat: LLMChatService, conversationId: string, model?: string) => {
  const statuses: ReplyStatus[] = [];
  const accepted = Promise.withResolvers<string>();
  const bytes = Promise.withResolvers<void>();
  const end = (async () => {
    let last: unknown;
    for await (const update of chat.streamResponse(conversationId, 'hello', model === undefined ? {} : { model })) {
      if (update.type === 'accepted') accepted.resolve(update.reply.messageId);
      if (update.type === 'refused') return update.failure;
      if (update.type === 'entries') last = update.entries.at(-1)?.event;
      if (update.type !== 'status') continue;
      statuses.push(update.status);
      if (update.status.state === 'model_loading' && update.status.completedBytes !== undefined) bytes.resolve();
    }
    return last;
  })();
  return { statuses: statuses as Statuses, accepted: accepted.promise, hasBytes: bytes.promise, end };
};

const pullsOf = (ollama: ScriptedOllama) => ollama.ledger.requestsTo('/api/pull');

let gates: Gate[] = [];
const gate = (): Gate => {
  const created = createGate();
  gates.push(created);
  return created;
};
afterEach(() => {
  for (const each of gates) each.open();
  gates = [];
});

describe('a model that no host has', () => {
  it('is downloaded once for all who ask for it, who are told how far it is and answered then', async () => {
    await using rig = await open();
    const held = gate();
    rig.ollama.nextPull(...halfway(held));
    const one = ask(rig.chat, 'c1', 'llama3');
    const other = ask(rig.chat, 'c2', 'LLAMA3:latest');
    await Promise.all([one.hasBytes, other.hasBytes]);
    held.open();
    expect(await one.end).toMatchObject({ type: 'end', state: 'done' });
    expect(await other.end).toMatchObject({ type: 'end', state: 'done' });
    for (const { statuses } of [one, other]) {
      expect(statuses).toContainEqual({
        state: 'model_loading',
        elapsedMs: expect.any(Number),
        completedBytes: 500,
        totalBytes: 1000,
      });
    }
    expect(pullsOf(rig.ollama)).toHaveLength(1);
    const told = rig.lines.map(({ msg }) => msg);
    expect(told).toContain('downloading a model');
    expect(told).toContain('a model was downloaded');
  });

  it('holds no slot meanwhile: others are answered', async () => {
    await using rig = await open({ settings: { LLM_CONCURRENCY: '1' } });
    const held = gate();
    rig.ollama.nextPull(...halfway(held));
    const waiting = ask(rig.chat, 'c1', 'llama3');
    await waiting.hasBytes;
    expect(rig.chat.load).toMatchObject({ serving: 0, waiting: 1, running: 1 });
    expect(await ask(rig.chat, 'c2', 'tiny-chat').end).toMatchObject({ state: 'done' });
    held.open();
    expect(await waiting.end).toMatchObject({ state: 'done' });
  });

  it('is waited for longer than a turn or a place in the queue may take, and told at least every 10 s', async () => {
    const clock = new VirtualClock();
    const limits = { LLM_TURN_TIMEOUT: '20', LLM_QUEUE_TIMEOUT: '10', LLM_TIMEOUT: '15' };
    await using rig = await open({ settings: limits, surroundings: { clock } });
    const held = gate();
    rig.ollama.nextPull(...halfway(held));
    const waiting = ask(rig.chat, 'c1', 'llama3');
    await waiting.hasBytes;
    await clock.advance(50_000);
    const told = waiting.statuses.filter((status) => status.state === 'model_loading' && status.completedBytes === 500);
    expect(told.length).toBeGreaterThanOrEqual(6);
    expect(told.at(-1)).toMatchObject({ totalBytes: 1000, elapsedMs: 45_000 });
    held.open();
    expect(await waiting.end).toMatchObject({ state: 'done', timings: { queuedMs: 50_000 } });
  });

  it('is downloaded to the end when one who waits for it cancels; the others go on', async () => {
    await using rig = await open();
    const held = gate();
    rig.ollama.nextPull(...halfway(held));
    const one = ask(rig.chat, 'c1', 'llama3');
    const other = ask(rig.chat, 'c2', 'llama3');
    await Promise.all([one.hasBytes, other.hasBytes]);
    expect(await rig.chat.cancel({ messageId: await one.accepted })).toMatchObject({ state: 'cancelled' });
    expect(await one.end).toMatchObject({ state: 'cancelled' });
    expect(one.statuses.at(-1)).toMatchObject({ state: 'released' });
    expect(pullsOf(rig.ollama)).toMatchObject([{ outcome: 'open' }]);
    expect(rig.chat.load).toMatchObject({ waiting: 1, running: 1 });
    held.open();
    expect(await other.end).toMatchObject({ state: 'done' });
    const again = await rig.chat.generateResponse('c1', 'hello again', { model: 'llama3' });
    expect(again).toMatchObject({ success: true, model: 'llama3' });
    expect(pullsOf(rig.ollama)).toHaveLength(1);
  });

  it('ends the replies that wait for it when it cannot be had, and who asks again soon is told at once', async () => {
    await using rig = await open({ settings: { LLM_MODELS: 'absent' } });
    const held = gate();
    rig.ollama.nextPull({ waitFor: held }, { line: { error: 'pull model manifest: file does not exist' } });
    const waiting = [ask(rig.chat, 'c1', 'absent'), ask(rig.chat, 'c2', 'absent')];
    await Promise.all(waiting.map(({ accepted }) => accepted));
    held.open();
    for (const { end } of waiting) {
      expect(await end).toMatchObject({ state: 'failed', failure: { code: 'model_not_found' } });
    }
    const refused = await rig.chat.generateResponse('c3', 'hello', { model: 'absent' });
    expect(refused).toMatchObject({ success: false, code: 'model_not_found' });
    expect(refused).not.toHaveProperty('messageId');
    expect(rig.chat.load).toEqual({ waiting: 0, serving: 0, running: 0 });
    expect(pullsOf(rig.ollama)).toHaveLength(1);
    expect(rig.lines.map(({ msg }) => msg)).toContain('a model could not be downloaded');
  });

  it('ends them as backend_unavailable when something is in the way; the conversation then runs', async () => {
    await using rig = await open();
    rig.ollama.nextPull({ line: { error: 'write: no space left on device' } });
    expect(await ask(rig.chat, 'c1', 'llama3').end).toMatchObject({
      state: 'failed',
      failure: { code: 'backend_unavailable', message: expect.stringContaining('disk') },
    });
    expect(await rig.chat.generateResponse('c1', 'hello', { model: 'llama3' })).toMatchObject({
      code: 'backend_unavailable',
      retryable: true,
      retryAfterMs: expect.any(Number),
    });
    expect(await rig.chat.generateResponse('c1', 'hello', { model: 'tiny-chat' })).toMatchObject({ success: true });
    rig.ollama.addModel({ name: 'llama3' }); // by hand
    expect(await rig.chat.generateResponse('c1', 'hello', { model: 'llama3' })).toMatchObject({ success: true });
  });

  it('is not refused what it may be able to do: that is known when it is there', async () => {
    await using rig = await open();
    const asked = { model: 'llama3', think: true };
    expect(await rig.chat.generateResponse('c1', 'hello', asked)).toMatchObject({ success: true });
    expect(await rig.chat.generateResponse('c1', 'hello', asked)).toMatchObject({ code: 'unsupported' });
  });

  it('is left where it is when the service closes', async () => {
    await using rig = await open();
    const held = gate();
    rig.ollama.nextPull(...halfway(held));
    const waiting = ask(rig.chat, 'c1', 'llama3');
    await waiting.hasBytes;
    await rig.reopen();
    expect(await waiting.end).toMatchObject({ failure: { code: 'interrupted' } });
    await rig.ollama.ledger.until(() => pullsOf(rig.ollama)[0]?.outcome === 'left');
  });
});

describe('what is not downloaded', () => {
  it('is a model that callers may not name', async () => {
    await using rig = await open();
    expect(await rig.chat.generateResponse('c1', 'hello', { model: 'mistral' })).toMatchObject({
      code: 'model_not_found',
      error: expect.stringContaining('LLM_MODELS'),
    });
    expect(pullsOf(rig.ollama)).toHaveLength(0);
  });

  it('is a model that a host has', async () => {
    await using rig = await open({ settings: { LLM_MODEL: 'tiny-chat', LLM_MODELS: 'tiny-plain' } });
    expect(await rig.chat.generateResponse('c1', 'hello', { model: 'tiny-plain' })).toMatchObject({ success: true });
    expect(await rig.chat.generateResponse('c2', 'hello')).toMatchObject({ success: true });
    expect(pullsOf(rig.ollama)).toHaveLength(0);
  });

  it('is any model without LLM_AUTO_PULL', async () => {
    await using rig = await open({ settings: { LLM_AUTO_PULL: 'false', LLM_MODEL: 'llama3' } });
    expect(await rig.chat.generateResponse('c1', 'hello')).toMatchObject({
      code: 'model_not_found',
      error: expect.stringContaining('ollama pull llama3'),
    });
    expect(pullsOf(rig.ollama)).toHaveLength(0);
  });
});

describe('at the start', () => {
  it('LLM_MODEL is downloaded before anybody asks for it, and the service is ready meanwhile', async () => {
    await using rig = await open({ settings: { LLM_MODEL: 'llama3' } });
    const held = gate();
    rig.ollama.nextPull(...halfway(held));
    await rig.ollama.ledger.until(() => pullsOf(rig.ollama).length === 1);
    expect(await rig.chat.isReady()).toBe(true);
    expect(await rig.chat.health()).toMatchObject({
      status: 'degraded',
      backend: { hint: expect.stringContaining('wait for its download') },
    });
    held.open();
    expect(await rig.chat.generateResponse('c1', 'hello')).toMatchObject({ success: true, model: 'llama3' });
    expect(await rig.chat.health()).toMatchObject({ status: 'ok' });
    expect(pullsOf(rig.ollama)).toHaveLength(1);
  });

  it('nothing is downloaded onto a second host of what the first one has', async () => {
    await using rig = await open();
    await using second = await ScriptedOllama.start({ models: [] });
    await rig.reopen({ OLLAMA_BASE_URL: `${second.url},${rig.ollama.url}` });
    expect(await rig.chat.generateResponse('c1', 'hello')).toMatchObject({ success: true, model: 'tiny-chat' });
    expect(pullsOf(second)).toHaveLength(0);
    expect(await rig.chat.generateResponse('c2', 'hello', { model: 'llama3' })).toMatchObject({ success: true });
    expect(pullsOf(second)).toHaveLength(1); // the first of the settings, and no other
    expect(pullsOf(rig.ollama)).toHaveLength(0);
  });
});

describe('at a start without any host', () => {
  it('LLM_MODEL is downloaded when one is there, and then loaded where LLM_PRELOAD says so', async () => {
    const clock = new VirtualClock();
    await using rig = await open({ surroundings: { clock }, settings: { LLM_MODEL: 'llama3', LLM_PRELOAD: 'true' } });
    await rig.ollama.ledger.until(() => pullsOf(rig.ollama).length === 1);
    await rig.ollama.ledger.until((ledger) => ledger.loadsOf('llama3:latest') === 1);
    rig.ollama.removeModel('llama3');
    await rig.ollama.kill();
    await rig.reopen();
    expect(pullsOf(rig.ollama)).toHaveLength(1);
    await rig.ollama.restart();
    for (let second = 0; second < 20 && pullsOf(rig.ollama).length < 2; second++) await clock.advance(1000);
    await rig.ollama.ledger.until((ledger) => ledger.loadsOf('llama3:latest') === 2);
    expect(pullsOf(rig.ollama)).toHaveLength(2);
  });
});
