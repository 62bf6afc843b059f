import { describe, expect, it } from 'vitest';
import { LLMError } from '../../src/errors.ts';
import { toRefusal } from '../../src/providers/ollama/ollama-host.ts';
import { OllamaRefusal, toConnectionError, toRefusalError } from '../../src/providers/ollama/ollama-errors.ts';
import { loadRecording } from '../support/recordings.ts';
import { overLength } from '../support/scripted-ollama/scripts/refusals.ts';

const asked = { address: 'http://ollama:11434', model: 'llama3', available: ['tiny-chat', 'tiny-plain'] };

const fromRecording = (name: string): LLMError => {
  const { status, chunks } = loadRecording(name).response;
  return toRefusalError(toRefusal(status, chunks.join('')), asked);
};

const fromText = (status: number, text: string): LLMError => toRefusalError(new OllamaRefusal(status, text), asked);

/** As undici's `fetch` wraps what went wrong. */
const failure = (code: string): Error =>
  new TypeError('fetch failed', { cause: Object.assign(new Error('x'), { code }) });

describe('what Ollama refused', () => {
  it.each([
    ['model-missing', 'model_not_found'],
    ['model-missing-whole', 'model_not_found'],
    ['show-missing', 'model_not_found'],
    ['model-bad-name', 'model_not_found'],
    ['too-long-refused', 'context_length_exceeded'],
    ['think-on-plain', 'unsupported'],
    ['think-bad-level', 'unsupported'],
    ['tools-on-plain', 'unsupported'],
    ['image-not-base64', 'invalid_request'],
    ['busy', 'backend_unavailable'],
    ['foreign-origin', 'backend_error'],
    ['no-such-path', 'backend_error'],
    ['wrong-method', 'backend_error'],
    ['keep-alive-bad', 'backend_error'],
    ['option-wrong-type', 'backend_error'],
  ])('is, recorded as %s, %s', (recording, code) => {
    expect(fromRecording(recording).code).toBe(code);
  });

  it.each([
    [404, 'model "llama3" not found, try pulling it first', 'model_not_found'],
    [400, overLength(5000, 4096), 'context_length_exceeded'],
    [400, 'the prompt is longer than the context length currently available to the model', 'context_length_exceeded'],
    [400, '"nomic-embed-text" does not support chat', 'unsupported'],
    [500, '{"error":{"message":"image input is not supported - hint: give a projector"}}', 'unsupported'],
    [400, 'Multimodal data provided, but model does not support multimodal requests.', 'unsupported'],
    [400, '{"error":{"message":"Assistant response prefill is incompatible with enable_thinking."}}', 'unsupported'],
    [200, 'invalid format: "\\"yaml\\""; expected "json" or a valid JSON Schema object', 'invalid_request'],
    [500, 'timed out waiting for llama-server to start - progress 0.80', 'backend_timeout'],
    [504, '<html>gateway timeout</html>', 'backend_timeout'],
    [401, 'unauthorized', 'backend_error'],
    [429, 'slow down', 'backend_error'],
    [302, '', 'backend_error'],
    [500, 'something new', 'backend_error'],
    [200, 'llama-server returned invalid tool call arguments for get_weather', 'backend_error'],
  ])('with %i and "%s" is %s', (status, text, code) => {
    expect(fromText(status, text)).toMatchObject({ code, transient: false });
  });

  it.each([
    [503, 'server busy, please try again.  maximum pending requests exceeded', 1_000],
    [500, 'model runner has unexpectedly stopped, this may be due to resource limitations or an internal error', 2_000],
    [500, 'llama runner process no longer running: -1', 2_000],
    [500, 'llama-server process no longer running: exit status 1', 2_000],
    [500, 'Post "http://127.0.0.1:40123/completion": dial tcp 127.0.0.1:40123: connect: connection refused', 2_000],
    [500, 'no slots available after 10 retries', 2_000],
    [200, 'an error was encountered while running the model: unexpected EOF', 2_000],
    [502, '<html>bad gateway</html>', 0],
    [499, 'request canceled', 0],
  ])('with %i and "%s" can pass by itself, at the same host after %i ms', (status, text, leastDelayMs) => {
    expect(fromText(status, text)).toMatchObject({ code: 'backend_unavailable', transient: true, leastDelayMs });
  });

  it.each([
    'llama runner process has terminated: signal: killed',
    'llama-server process has terminated: exit status 1',
    'model requires more system memory (10.1 GiB) than is available (4.2 GiB)',
    'model failed to load, this may be due to resource limitations',
    'llama-server reported out-of-memory during startup',
  ])('as a load, "%s", does not pass by itself and tells of memory', (text) => {
    expect(fromText(500, text)).toMatchObject({ code: 'backend_unavailable', transient: false });
    expect(fromText(500, text).message).toContain('memory');
  });

  it('names the models there are and the command to type', () => {
    const { message } = fromRecording('model-missing');
    expect(message).toContain('tiny-chat, tiny-plain');
    expect(message).toContain('ollama pull llama3');
  });

  it('names ten models at most, and no command for a name that a shell could run', () => {
    const available = Array.from({ length: 12 }, (_, index) => `model-${index}`);
    const refusal = new OllamaRefusal(404, "model 'x' not found");
    const { message } = toRefusalError(refusal, { ...asked, model: 'x; rm -rf ~', available });
    expect(message).toContain('model-9 …');
    expect(message).not.toMatch(/rm -rf|ollama pull/);
  });

  it('says of an empty 403 which settings of Ollama decide', () => {
    expect(fromRecording('foreign-origin').message).toMatch(/OLLAMA_HOST.*OLLAMA_ORIGINS/);
  });

  it('keeps Ollama’s own words in the cause and out of the message', () => {
    const error = fromText(500, 'secret /root/.ollama/models/blobs');
    expect(error.message).not.toContain('secret');
    expect(error.cause).toMatchObject({ message: 'secret /root/.ollama/models/blobs', status: 500 });
  });
});

describe('a connection that fails', () => {
  it.each(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'UND_ERR_CONNECT_TIMEOUT'])(
    'with %s means that nobody is there, and says how to start Ollama',
    (code) => {
      const error = toConnectionError(failure(code), asked);
      expect(error).toMatchObject({ code: 'backend_unavailable', transient: true });
      expect(error.message).toMatch(/http:\/\/ollama:11434.*`ollama serve`/);
    },
  );

  it.each(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET'])('with %s before any output can pass by itself', (code) => {
    expect(toConnectionError(failure(code), asked)).toMatchObject({ code: 'backend_unavailable', transient: true });
  });

  it('in any other way is a backend error with its cause', () => {
    const error = toConnectionError(failure('HPE_INVALID_CONSTANT'), asked);
    expect(error).toMatchObject({ code: 'backend_error', transient: false, cause: { message: 'fetch failed' } });
  });
});
