import { toToken } from './tokens.ts';

export const MODEL = 'bench:latest';

const STREAM_HEAD = [
  'HTTP/1.1 200 OK',
  'Content-Type: application/x-ndjson',
  'Date: Sat, 21 Nov 2026 03:35:28 GMT',
  'Transfer-Encoding: chunked',
].join('\r\n');

/** Status and headers of a reply that comes line by line. */
export const STREAM_BEGIN = `${STREAM_HEAD}\r\n\r\n`;

const toChunk = (line: string): string => `${line.length.toString(16)}\r\n${line}\r\n`;

/** One token as Ollama sends it: a line of JSON in an HTTP chunk of its own. All of it is ASCII. */
export const toTokenChunk = (token: string): string =>
  toChunk(
    `{"model":"${MODEL}","created_at":"2026-11-21T03:35:28.427266114Z","message":{"role":"assistant","content":"${token}"},"done":false}\n`,
  );

/** The last line, and the end of the body. */
export const toEndChunk = (tokens: number): string =>
  `${toChunk(
    `{"model":"${MODEL}","created_at":"2026-11-21T03:35:29.027369740Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","total_duration":637416417,"load_duration":4072109,"prompt_eval_count":31,"prompt_eval_duration":13966173,"eval_count":${tokens},"eval_duration":610224463}\n`,
  )}0\r\n\r\n`;

const prepared = new Map<number, Buffer>();

/** A whole reply, made once: what is sent at full speed costs one write. */
export const prepareReply = (tokens: number): Buffer => {
  const known = prepared.get(tokens);
  if (known) return known;
  const chunks = Array.from({ length: tokens }, (_, index) => toTokenChunk(toToken(index)));
  const reply = Buffer.from(STREAM_BEGIN + chunks.join('') + toEndChunk(tokens), 'latin1');
  prepared.set(tokens, reply);
  return reply;
};
