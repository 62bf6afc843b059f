import type { ScriptedOllama } from './scripted-ollama.ts';

/** A line of an answer, as far as tests look at it. */
export interface AnswerLine {
  readonly error?: string;
  readonly message?: { readonly content: string; readonly thinking?: string };
  readonly done?: boolean;
  readonly done_reason?: string;
  readonly prompt_eval_count?: number;
}

/** Asks for a chat as any client would: `tiny-chat`, not thinking, `hello`, where the fields do not say otherwise. */
export const ask = (ollama: ScriptedOllama, fields: object = {}, signal?: AbortSignal): Promise<Response> =>
  fetch(`${ollama.url}/api/chat`, {
    method: 'POST',
    body: JSON.stringify({ model: 'tiny-chat', think: false, ...say('hello'), ...fields }),
    ...(signal ? { signal } : {}),
  });

/** The field of a request that says one thing. */
export const say = (content: string) => ({ messages: [{ role: 'user', content }] });

/** The fields of a request that loads the model. */
export const load = (fields: object = {}) => ({ messages: [], ...fields });

export const linesOf = async (answer: Response): Promise<readonly AnswerLine[]> =>
  (await answer.text()).split('\n').flatMap((line): AnswerLine[] => (line.trim() ? [JSON.parse(line)] : []));

export const textOf = async (answer: Response): Promise<string> =>
  (await linesOf(answer)).map(({ message }) => message?.content ?? '').join('');
