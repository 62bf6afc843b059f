import { MODEL } from './lines.ts';

/** Tokens; `/api/ps` says that the model is loaded with it, so nobody has it loaded anew. */
export const CONTEXT_WINDOW = 8192;

const DETAILS = { parent_model: '', format: 'gguf', family: 'llama', families: ['llama'], parameter_size: '1B' };

const LISTED = {
  name: MODEL,
  model: MODEL,
  modified_at: '2026-11-21T03:35:28.013458044Z',
  size: 1_207_888,
  digest: '58209de62493ab26ff8e22db2ee19f8a7c6d270b6e4e9c5251c883253b03dc98',
};

const CAPABILITIES = ['completion'];

const toAnswer = (value: unknown): Buffer => {
  const body = JSON.stringify(value);
  const head = `HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: ${body.length}\r\n\r\n`;
  return Buffer.from(head + body, 'latin1');
};

export const LOADED = toAnswer({
  model: MODEL,
  created_at: '2026-11-21T03:35:28.374537289Z',
  message: { role: 'assistant', content: '' },
  done: true,
  done_reason: 'load',
});

/** What is the same for every caller, as whole HTTP responses. */
export const ANSWERS: Readonly<Record<string, Buffer>> = {
  '/api/version': toAnswer({ version: '0.13.0' }),
  '/api/tags': toAnswer({ models: [{ ...LISTED, details: DETAILS, capabilities: CAPABILITIES }] }),
  '/api/show': toAnswer({
    details: DETAILS,
    model_info: { 'general.architecture': 'llama', 'llama.context_length': 131_072 },
    capabilities: CAPABILITIES,
  }),
  '/api/ps': toAnswer({
    models: [{ ...LISTED, details: DETAILS, size_vram: 0, context_length: CONTEXT_WINDOW }],
  }),
};

export const NOT_FOUND = Buffer.from('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n', 'latin1');
