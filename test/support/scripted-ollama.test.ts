import { describe, expect, it } from 'vitest';
import { loadRecording, recordingNames, replayRecording } from './recordings.ts';
import { ask, load, say } from './scripted-ollama/ask.ts';
import { rawExchange } from './scripted-ollama/raw-exchange.ts';
import { type ModelOptions, ScriptedOllama } from './scripted-ollama/scripted-ollama.ts';
import { toWireShape } from './scripted-ollama/wire-shape.ts';

describe('the scripted Ollama beside the recordings of a real one', () => {
  const recorded: readonly ModelOptions[] = [
    { name: 'tiny-chat', capabilities: ['completion', 'tools', 'thinking'], bytesPerToken: 1 },
    { name: 'tiny-plain', bytesPerToken: 1 },
  ];
  /** What the tiny model chose to say, or the state that it was in, where the request alone does not decide it. */
  const scripts: Readonly<Record<string, string>> = {
    'tools-text-answer': 'say:it offered tools, and the model did without, and without thinking',
    'tool-result': 'say:it did not think behind a result',
    'role-unknown': 'say:it did not think without a user message',
    'too-long-cut': 'say:it did not think about half a prompt',
    'grows-past-window': 'long:300',
    length: 'thinking-only',
    logprobs: 'done-alone', // fewer tokens than the tag has that thinking begins with
    'option-unknown': 'done-alone',
    'runner-killed': 'runner-killed:3',
    busy: 'busy',
  };
  /** Not played, each for its reason. */
  const left: Readonly<Record<string, string>> = {
    'show-as-made': 'a model without parameters',
    tags: 'compared below: it lists other models',
    'logprobs-shown': 'no logprobs are made',
    'we-hang-up': 'its client left',
    'ps-empty': 'compared below',
    ps: 'compared below',
    'ps-after-other-num-ctx': 'compared below',
    stats: 'ps again',
    pull: 'compared below: how often a layer is reported depends on the time',
  };
  const start = () => ScriptedOllama.start({ models: recorded });

  it.each(recordingNames().filter((name) => !(name in left)))('answers as recorded: %s', async (name) => {
    await using ollama = await start();
    const script = scripts[name];
    if (script !== undefined) ollama.next(script);
    const answer = await rawExchange(ollama.port, { ...requestOf(name), ...originOf(name) });
    expect(toWireShape(answer)).toEqual(shapeOfRecording(name));
  });

  it('lists models as recorded', async () => {
    await using ollama = await start();
    const answer = await rawExchange(ollama.port, { method: 'GET', path: '/api/tags' });
    // A tiny-made of no other capabilities than tiny-plain's makes the recorded list longer, and its shape the same.
    expect(toWireShape(answer)).toEqual(shapeOfRecording('tags'));
  });

  it('lists loaded models as recorded', async () => {
    await using ollama = await start();
    const request = { method: 'GET', path: '/api/ps' };
    expect(toWireShape(await rawExchange(ollama.port, request))).toEqual(shapeOfRecording('ps-empty'));
    await ask(ollama, load());
    expect(toWireShape(await rawExchange(ollama.port, request))).toEqual(shapeOfRecording('ps'));
    await ask(ollama, load({ options: { num_ctx: 128 } }));
    const small = await rawExchange(ollama.port, request);
    expect(toWireShape(small)).toEqual(shapeOfRecording('ps-after-other-num-ctx'));
    expect(small.chunks[0]).toContain('"context_length":128}');
  });

  it('pulls as recorded', async () => {
    await using ollama = await start();
    const answer = await rawExchange(ollama.port, requestOf('pull'));
    const { kinds, ...shape } = toWireShape(answer);
    const { kinds: recordedKinds, ...recordedShape } = shapeOfRecording('pull');
    expect(shape).toEqual(recordedShape);
    expect(kinds).toEqual(recordedKinds.filter((kind, index) => recordedKinds.indexOf(kind) === index));
  });

  it('fills the window with a prompt that is too long for it, as recorded', async () => {
    await using ollama = await start();
    const { chunks } = await rawExchange(ollama.port, requestOf('too-long-cut'));
    expect(JSON.parse(chunks.at(-1) ?? '')).toMatchObject({ prompt_eval_count: 2048 });
  });

  it.each(['stream', 'whole', 'busy', 'runner-killed', 'foreign-origin'])('replays a recording: %s', async (name) => {
    await using ollama = await start();
    ollama.next(replayRecording(name));
    const answer = await rawExchange(ollama.port, {
      method: 'POST',
      path: '/api/chat',
      body: { model: 'tiny-chat', ...say('hello') },
    });
    expect(answer.chunks).toEqual(loadRecording(name).response.chunks);
    expect(toWireShape(answer)).toEqual(shapeOfRecording(name));
  });
});

function shapeOfRecording(name: string) {
  const { response } = loadRecording(name);
  return toWireShape({ ...response, chunkedTerminator: response.chunked_terminator ?? false });
}

const requestOf = (name: string) =>
  loadRecording(name).request ?? { method: 'POST', path: '/api/chat', body: say('hello') };

const originOf = (name: string) => (name === 'foreign-origin' ? { headers: { Origin: 'https://evil.example' } } : {});
