import { describe, expect, it } from 'vitest';
import { inTime, VirtualClock } from '../support/virtual-clock.ts';
import { openChatRig, type ChatRig } from '../support/chat-service.ts';

/**
 * What an Ollama does wrong, by the classes of its failures: before the first token a call may be tried again, and
 * nobody sees it; after it the reply ends with what was said. The scripted Ollama plays each by a marker in the
 * prompt; the clocks are scaled down.
 */

const SCALED = { LLM_TIMEOUT: '0.4', LLM_LOAD_TIMEOUT: '3', LLM_TURN_TIMEOUT: '5', LLM_MAX_RETRIES: '1' };

const open = (): Promise<ChatRig> => openChatRig({ settings: SCALED });

/** With time enough, which goes on by itself: for what is asked again after a while. */
const PATIENT = { ...SCALED, LLM_TIMEOUT: '300', LLM_LOAD_TIMEOUT: '300', LLM_TURN_TIMEOUT: '600' };

interface Case {
  readonly script: string;
  readonly what: string;
  readonly code: string;
  readonly retryable: boolean;
  /** Calls to the model. */
  readonly attempts: number;
}

describe('before the first token', () => {
  it.each<Case>([
    { script: 'stall:0', what: 'headers that never come', code: 'backend_timeout', retryable: true, attempts: 1 },
    { script: 'busy', what: 'a full queue', code: 'backend_unavailable', retryable: true, attempts: 2 },
    { script: 'missing', what: 'a model that is gone', code: 'model_not_found', retryable: false, attempts: 1 },
    { script: 'vanished', what: 'a model file that vanished', code: 'model_not_found', retryable: false, attempts: 1 },
    { script: 'no-thinking', what: 'no such capability', code: 'unsupported', retryable: false, attempts: 1 },
    {
      script: 'status:400:unexpected',
      what: 'a refusal nobody knows',
      code: 'backend_error',
      retryable: true,
      attempts: 1,
    },
    {
      script: 'canceled',
      what: 'a call cancelled by the host',
      code: 'backend_unavailable',
      retryable: true,
      attempts: 2,
    },
    { script: 'runner-stopped', what: 'a stopped runner', code: 'backend_unavailable', retryable: true, attempts: 2 },
    {
      script: 'no-longer-running',
      what: 'a runner that is gone',
      code: 'backend_unavailable',
      retryable: true,
      attempts: 2,
    },
    { script: 'no-slots', what: 'no slot', code: 'backend_unavailable', retryable: true, attempts: 2 },
    { script: 'load-failed', what: 'a load that fails', code: 'backend_unavailable', retryable: true, attempts: 1 },
    { script: 'forbidden', what: 'a host that lets nobody in', code: 'backend_error', retryable: true, attempts: 1 },
    { script: 'plain-404', what: 'something that is no Ollama', code: 'backend_error', retryable: true, attempts: 1 },
    {
      script: 'proxy-error:502',
      what: 'a proxy without its host',
      code: 'backend_unavailable',
      retryable: true,
      attempts: 2,
    },
    {
      script: 'error-line:0',
      what: 'an error instead of the first line',
      code: 'backend_unavailable',
      retryable: true,
      attempts: 2,
    },
    { script: 'no-done:0', what: 'an empty end', code: 'backend_error', retryable: true, attempts: 2 },
    {
      script: 'cut-off:0',
      what: 'a connection that breaks',
      code: 'backend_unavailable',
      retryable: true,
      attempts: 2,
    },
    { script: 'malformed', what: 'a line that is no JSON', code: 'backend_error', retryable: true, attempts: 1 },
    { script: 'thinking-only', what: 'thoughts and no answer', code: 'empty_response', retryable: false, attempts: 1 },
    { script: 'empty', what: 'an empty answer', code: 'empty_response', retryable: false, attempts: 1 },
    { script: 'done-alone', what: 'counted tokens and no text', code: 'empty_response', retryable: false, attempts: 1 },
  ])('$what ($script) ends as $code', async ({ script, code, retryable, attempts }) => {
    const clock = attempts > 1 ? new VirtualClock() : undefined;
    await using rig = clock ? await openChatRig({ settings: PATIENT, surroundings: { clock } }) : await open();
    const answering = rig.chat.generateResponse('c1', `[[${script}]]`);
    const answer = await (clock ? inTime(clock, answering) : answering);
    expect(answer).toMatchObject({ success: false, code, retryable, seq: expect.any(Number) });
    expect(rig.ollama.ledger.chats).toHaveLength(attempts);
    const { messages } = (await rig.chat.listMessages('c1')) as unknown as { messages: object[] };
    expect(messages).toMatchObject([
      { role: 'user' },
      { role: 'assistant', outcome: { state: 'failed', failure: { code } } },
    ]);
  });

  it.each([
    ['busy', 1_000],
    ['runner-stopped', 2_000],
    ['no-longer-running', 2_000],
    ['no-slots', 2_000],
    ['no-done:0', 0],
    ['cut-off:0', 0],
  ])(
    'a failure that passes (%s) is tried again unseen, by the same host after %i ms at least',
    async (script, leastMs) => {
      const clock = new VirtualClock();
      await using rig = await openChatRig({ settings: PATIENT, surroundings: { clock } });
      const begunAt = clock.now();
      const answer = await inTime(clock, rig.chat.generateResponse('c1', `[[first:1:${script}]]`), 10);
      expect(clock.now() - begunAt).toBeGreaterThanOrEqual(leastMs);
      expect(answer).toMatchObject({ success: true, finishReason: 'stop' });
      expect(answer.success && answer.response).toContain(rig.ollama.ledger.chats[1]?.salt);
      expect(answer.success && answer.response).not.toContain(rig.ollama.ledger.chats[0]?.salt ?? 'none');
    },
  );

  it('a failed question is shown, but not sent to the model again', async () => {
    await using rig = await open();
    await rig.chat.generateResponse('c1', '[[missing]]');
    await rig.chat.generateResponse('c1', 'hello');
    expect(await rig.chat.getConversation('c1')).toMatchObject({ messageCount: 4 });
    expect(rig.ollama.ledger.chats.at(-1)?.prompt).not.toContain('missing');
  });
});

describe('after the first token', () => {
  it.each<Case>([
    { script: 'stall:5', what: 'a stall', code: 'backend_timeout', retryable: true, attempts: 1 },
    { script: 'error-line:5', what: 'an error line', code: 'backend_error', retryable: true, attempts: 1 },
    {
      script: 'error-unended:5',
      what: 'an error line without an end',
      code: 'backend_error',
      retryable: true,
      attempts: 1,
    },
    { script: 'runner-killed:5', what: 'a runner that dies', code: 'backend_error', retryable: true, attempts: 1 },
    { script: 'no-done:5', what: 'a clean end without done', code: 'backend_error', retryable: true, attempts: 1 },
    { script: 'cut-off:5', what: 'a broken connection', code: 'backend_error', retryable: true, attempts: 1 },
    { script: 'leak:5', what: 'a host that stops for good', code: 'backend_timeout', retryable: true, attempts: 1 },
  ])(
    '$what ($script) ends as $code with the text so far, and is never asked again',
    async ({ script, code, attempts }) => {
      await using rig = await open();
      const answer = await rig.chat.generateResponse('c1', `[[${script}]]`);
      expect(answer).toMatchObject({ success: false, code, retryable: true, response: expect.stringMatching(/^I \[/) });
      expect(answer).toMatchObject({ usage: { source: 'estimated' } });
      expect(rig.ollama.ledger.chats).toHaveLength(attempts);
      const page = await rig.chat.listMessages('c1');
      expect(page).toMatchObject({
        messages: [
          { role: 'user' },
          { content: 'response' in answer && answer.response, outcome: { state: 'failed' } },
        ],
      });
    },
  );

  it.each([
    ['long:4000', 'length'],
    ['repeat-for-ever', 'repetition'],
    ['length', 'length'],
    ['reason-without-done', 'stop'],
    ['reason-done-false:5', 'stop'],
    ['done-with-content', 'stop'],
    ['done-stays-open', 'stop'],
    ['lines-after-done', 'stop'],
    ['no-last-newline', 'stop'],
    ['crlf', 'stop'],
    ['blank-lines', 'stop'],
    ['lines-together', 'stop'],
    ['cut-lines:7', 'stop'],
    ['unicode', 'stop'],
    ['extra-fields', 'stop'],
    ['no-prompt-count', 'stop'],
  ])('%s ends well, as %s', async (script, finishReason) => {
    await using rig = await open();
    const answer = await rig.chat.generateResponse('c1', `[[${script}]]`, { maxTokens: 300 });
    expect(answer).toMatchObject({ success: true, finishReason });
  });

  it('a model that never ends is stopped by its time, with the text kept', async () => {
    await using rig = await openChatRig({ settings: { ...SCALED, LLM_TURN_TIMEOUT: '1' } });
    const answer = await rig.chat.generateResponse('c1', '[[endless:20]]');
    expect(answer).toMatchObject({ success: false, code: 'backend_timeout', response: expect.stringMatching(/\S/) });
    await rig.ollama.ledger.until(({ chats }) => chats[0]?.abortedByClient === true);
  });

  it('what was counted is said to be measured, what was not to be estimated', async () => {
    await using rig = await open();
    expect(await rig.chat.generateResponse('c1', 'hello')).toMatchObject({ usage: { source: 'measured' } });
    expect(await rig.chat.generateResponse('c1', '[[no-prompt-count]]')).toMatchObject({
      usage: { source: 'estimated' },
    });
  });
});

describe('a host', () => {
  it('that is not there refuses before anything begins, and a named model is not replaced', async () => {
    await using rig = await open();
    await rig.ollama.kill();
    expect(await rig.chat.generateResponse('c1', 'hello', { model: 'tiny-chat' })).toMatchObject({
      success: false,
      code: 'backend_unavailable',
      retryable: true,
    });
    expect(await rig.chat.getConversation('c1')).toMatchObject({ code: 'not_found' });
  });

  it('that dies in the middle ends the reply with its text; when it is back the next one is answered', async () => {
    await using rig = await openChatRig({ settings: SCALED, ollama: { paceMs: 10 } });
    const asking = rig.chat.generateResponse('c1', '[[long:500:10]]');
    await rig.ollama.ledger.until(({ chats }) => (chats[0]?.tokens ?? 0) > 5);
    await rig.ollama.kill();
    expect(await asking).toMatchObject({
      success: false,
      code: 'backend_error',
      response: expect.stringMatching(/\S/),
    });
    await rig.ollama.restart();
    rig.ollama.paceMs = 0;
    expect(await rig.chat.generateResponse('c1', 'hello')).toMatchObject({ success: true });
  });
});

describe('a prompt that the backend finds too long', () => {
  it.each(['too-long-plain', 'too-long-nested', 'too-long-rendered'])(
    'is cut harder and asked once more (%s)',
    async (script) => {
      await using rig = await open();
      for (const question of ['one', 'two', 'three']) await rig.chat.generateResponse('c1', question);
      const answer = await rig.chat.generateResponse('c1', `[[first:1:${script}]]`);
      expect(answer).toMatchObject({ success: true });
      const [refused, taken] = rig.ollama.ledger.chats.slice(-2);
      expect(taken?.promptTokens).toBeLessThan(refused?.promptTokens ?? 0);
    },
  );

  it('is refused with numbers when nothing is left to cut', async () => {
    await using rig = await open();
    const answer = await rig.chat.generateResponse('c1', `[[too-long-plain]]`);
    expect(answer).toMatchObject({ success: false, code: 'context_length_exceeded', retryable: false });
  });

  it('is refused with the numbers, before a host is asked for a chat or a load, when it cannot fit', async () => {
    await using rig = await open();
    const answer = await rig.chat.generateResponse('c1', 'word '.repeat(2000), { maxTokens: 300 });
    expect(answer).toMatchObject({
      success: false,
      code: 'context_length_exceeded',
      error: expect.stringMatching(
        /about \d{4} tokens with the system prompt; \d+ fit \(window \d+, less max_tokens 300/,
      ),
    });
    expect(answer).not.toHaveProperty('seq');
    expect(answer).not.toHaveProperty('messageId');
    expect(rig.ollama.ledger.loads).toEqual([]);
    for (const path of ['/api/chat', '/api/generate']) expect(rig.ollama.ledger.requestsTo(path)).toEqual([]);
    expect(await rig.chat.getConversation('c1')).toMatchObject({ code: 'not_found' });
  });
});
