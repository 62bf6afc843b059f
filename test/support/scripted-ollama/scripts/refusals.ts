import { fullName } from '../models.ts';
import { goJson } from '../go-json.ts';
import type { Script, Step, Turn } from '../script.ts';
import { type ScriptMakers, numberAt } from './maker.ts';

const json = (status: number, error: string): Step => ({ status, body: goJson({ error }) });

/** Refused where Ollama checks the request: no load, no slot. */
const onArrival = (status: number, text: (turn: Turn) => string): Script => ({
  at: 'arrival',
  steps: (turn) => [json(status, text(turn))],
});

/** Refused by the runner, when the model would begin. */
const byRunner = (status: number, text: (turn: Turn) => string): Script => ({
  steps: (turn) => [{ error: text(turn), status }],
});

export const RUNNER_STOPPED =
  'model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, check ollama server logs for details';

/** What is said instead of a reply, before its first line. The texts are Ollama's. */
export const refusals: ScriptMakers = {
  busy: () => onArrival(503, () => 'server busy, please try again.  maximum pending requests exceeded'),
  missing: () => onArrival(404, ({ request }) => `model '${request.model}' not found`),
  vanished: () => onArrival(404, ({ request }) => `model "${request.model}" not found, try pulling it first`),
  'no-thinking': () => onArrival(400, ({ request }) => `"${request.model}" does not support thinking`),
  'no-tools': () => onArrival(400, ({ request }) => `${fullName(request.model)} does not support tools`),
  canceled: () => onArrival(499, () => 'request canceled'),
  'too-long-plain': () => byRunner(400, () => 'the input length exceeds the context length'),
  'too-long-nested': () => byRunner(400, ({ promptTokens, numCtx }) => overLength(promptTokens, numCtx)),
  'too-long-rendered': () => byRunner(400, () => PROMPT_TOO_LONG),
  'prefill-refused': () => byRunner(400, () => PREFILL_REFUSED),
  'runner-stopped': () => ({ ...byRunner(500, () => RUNNER_STOPPED), killsRunner: true }),
  'no-longer-running': () => byRunner(500, () => 'llama runner process no longer running: -1'),
  'no-slots': () => byRunner(500, () => 'no slots available after 10 retries'),
  'load-failed': () => ({ steps: [], load: { error: 'llama runner process has terminated: signal: killed' } }),
  forbidden: () => ({ at: 'arrival', steps: [{ status: 403, headers: {}, body: '' }] }),
  'plain-404': () => ({
    at: 'arrival',
    steps: [{ status: 404, headers: { 'Content-Type': 'text/plain' }, body: '404 page not found' }],
  }),
  /** `status:429:slow down` */
  status: (given) => onArrival(numberAt(given, 0, 500), () => given.slice(1).join(':') || 'scripted failure'),
  /** A page of a proxy that stands in front of Ollama: `proxy-error:502`. */
  'proxy-error': (given) => ({
    at: 'arrival',
    steps: [
      {
        status: numberAt(given, 0, 502),
        headers: { 'Content-Type': 'text/html' },
        body: '<html><body><h1>Bad Gateway</h1></body></html>\n',
      },
    ],
  }),
};

/** The child's refusal, which Ollama passes on as a text. */
export const overLength = (promptTokens: number, numCtx: number): string =>
  JSON.stringify({
    error: {
      code: 400,
      message: `request (${promptTokens} tokens) exceeds the available context size (${numCtx} tokens), try increasing it`,
      type: 'exceed_context_size_error',
      n_prompt_tokens: promptTokens,
      n_ctx: numCtx,
    },
  });

export const PROMPT_TOO_LONG = 'the prompt is longer than the context length currently available to the model';

export const PREFILL_REFUSED = JSON.stringify({
  error: {
    code: 400,
    message: 'Assistant response prefill is incompatible with enable_thinking.',
    type: 'invalid_request_error',
  },
});
