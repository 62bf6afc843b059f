import { describe, expect, it } from 'vitest';
import { load } from '../chat/hosts-rig.ts';
import { RunningService } from '../support/running-service.ts';
import { ScriptedOllama } from '../support/scripted-ollama/scripted-ollama.ts';

/**
 * What hosts do wrong, as either wire tells it: before the first token another host takes over and nothing is seen of
 * it; after it, and for what is nobody else's fault, the end says what happened, keeps the text, and says of the usage
 * whether it was counted.
 */

interface Told {
  readonly body: Readonly<Record<string, unknown>>;
  /** Absent over the socket, whose events have none. */
  readonly status?: number;
}

type Wire = (service: RunningService) => Promise<Told>;

const overHttp: Wire = async (service) => {
  const { status, body } = await service.post('/generate_response', { conversation_id: 'c1', user_input: 'hello' });
  return { status, body };
};

const overSocket: Wire = async (service) => {
  const client = await service.connect();
  client.ask('hello', { conversation_id: 'c1' });
  return { body: (await client.waitForEnd()).data };
};

const WIRES = [
  ['HTTP', overHttp],
  ['the socket', overSocket],
] as const;

/** Two hosts with the model loaded; the first is the one that is asked when nothing speaks against it. */
const open = async (script: string) => {
  const first = await ScriptedOllama.start();
  const second = await ScriptedOllama.start();
  await Promise.all([load(first, 'tiny-chat'), load(second, 'tiny-chat')]);
  const settings = {
    OLLAMA_BASE_URL: `${first.url},${second.url}`,
    LLM_TIMEOUT: '0.6',
    LLM_LOAD_TIMEOUT: '5',
    LLM_MAX_RETRIES: '3',
    LLM_CONTEXT_WINDOW: '2048',
  };
  const service = await RunningService.start({ ollama: first, settings });
  first.next(script);
  return {
    service,
    second,
    get asked() {
      return [first, second].map(({ ledger }) => ledger.chats.length);
    },
    async [Symbol.asyncDispose]() {
      await service[Symbol.asyncDispose]();
      await first.stop();
      await second.stop();
    },
  };
};

describe.each(WIRES)('over %s', (_name, ask) => {
  it.each(['stall', 'busy', 'missing', 'runner-stopped', 'error-line:0', 'no-done:0', 'cut-off:0', 'load-failed'])(
    'nothing is seen of a host that fails before the first token (%s)',
    async (script) => {
      await using rig = await open(script);
      const { status, body } = await ask(rig.service);
      expect(body).toMatchObject({ success: true, finish_reason: 'stop', usage: { source: 'measured' } });
      expect(body['response']).toContain(rig.second.ledger.chats[0]?.salt);
      expect(rig.asked).toEqual([1, 1]);
      expect(status ?? 200).toBe(200);
    },
  );

  it.each([
    ['stall:5', 'backend_timeout', 504],
    ['error-line:5', 'backend_error', 502],
    ['error-unended:5', 'backend_error', 502],
    ['no-done:5', 'backend_error', 502],
    ['cut-off:5', 'backend_error', 502],
    ['runner-killed:5', 'backend_error', 502],
  ])('a failure after it (%s) is %s, with the text so far', async (script, code, httpStatus) => {
    await using rig = await open(script);
    const { status, body } = await ask(rig.service);
    expect(body).toMatchObject({
      success: false,
      code,
      retryable: true,
      response: expect.stringMatching(/^I \[/),
      usage: { source: 'estimated' },
      seq: expect.any(Number),
    });
    expect(rig.asked).toEqual([1, 0]);
    expect(status ?? httpStatus).toBe(httpStatus);
  });

  it.each([
    ['thinking-only', { success: false, code: 'empty_response', usage: { source: 'measured' } }],
    ['empty', { success: false, code: 'empty_response', usage: { source: 'measured' } }],
    ['malformed', { success: false, code: 'backend_error' }],
    ['no-thinking', { success: false, code: 'unsupported' }],
    ['repeat-for-ever', { success: true, finish_reason: 'repetition', usage: { source: 'estimated' } }],
    ['long:4000', { success: true, finish_reason: 'length', usage: { source: 'measured' } }],
    ['reason-without-done', { success: true, finish_reason: 'stop' }],
    ['done-with-content', { success: true, finish_reason: 'stop' }],
    ['no-prompt-count', { success: true, finish_reason: 'stop', usage: { source: 'estimated' } }],
  ])(
    'what is not the host’s fault, or none at all (%s), is told as it is, and asked nowhere else',
    async (script, told) => {
      await using rig = await open(script);
      expect((await ask(rig.service)).body).toMatchObject(told);
      expect(rig.asked).toEqual([1, 0]);
    },
  );
});
