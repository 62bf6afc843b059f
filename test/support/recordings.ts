import { readFileSync, readdirSync } from 'node:fs';
import type { Script, Step } from './scripted-ollama/script.ts';

/** One exchange with a real Ollama; `test/fixtures/ollama/README.md` says how it was recorded. */
export interface Recording {
  readonly name: string;
  readonly note?: string;
  /** Missing in `busy`, whose request was one of many. */
  readonly request?: {
    readonly method: string;
    readonly path: string;
    /** JSON, or text that was not JSON. */
    readonly body?: unknown;
  };
  readonly response: {
    readonly status: number;
    /** `Name: value`. */
    readonly headers: readonly string[];
    readonly end?: 'closed' | 'we closed';
    readonly chunked_terminator?: boolean;
    /** The body, one entry per HTTP chunk. */
    readonly chunks: readonly string[];
  };
}

const FOLDER = new URL('../fixtures/ollama/', import.meta.url);
const FRAMING = /^(?:date|connection|content-length|transfer-encoding):/i; // the server writes its own

/** The recordings' names, in the order in which they were made. */
export const recordingNames = (): readonly string[] =>
  fileNames().map((file) => file.replace(/^\d+-(.*)\.json$/, '$1'));

/** Throws when there is no recording of that name, which is its file's name without the number: `stream`. */
export function loadRecording(name: string): Recording {
  const file = fileNames().find((candidate) => candidate.replace(/^\d+-/, '') === `${name}.json`);
  if (!file) throw new Error(`there is no recording named ${name}`);
  return JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8'));
}

/** A script for `ollama.next(...)` that answers with the very bytes, chunk for chunk. What was refused takes no slot. */
export function replayRecording(name: string): Script {
  const { response } = loadRecording(name);
  const headers = Object.fromEntries(response.headers.filter((line) => !FRAMING.test(line)).map(splitHeader));
  const { status } = response;
  const isWhole = response.headers.some((line) => /^content-length:/i.test(line));
  const [body = ''] = response.chunks;
  const stream: readonly Step[] = [
    { status, headers },
    ...response.chunks.map((write) => ({ write })),
    endOf(response),
  ];
  return { at: status === 200 ? 'slot' : 'arrival', steps: isWhole ? [{ status, headers, body }] : stream };
}

/** A stream that we left never ended; the others did. */
const endOf = (response: Recording['response']): Step => (response.chunked_terminator ? { end: true } : { hang: true });

const splitHeader = (line: string): readonly [string, string] => {
  const colon = line.indexOf(':');
  return [line.slice(0, colon), line.slice(colon + 1).trim()];
};

const fileNames = (): readonly string[] =>
  readdirSync(FOLDER)
    .filter((file) => file.endsWith('.json'))
    .toSorted();
