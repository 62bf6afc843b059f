import type { Engine } from './host.ts';
import { goJson } from './go-json.ts';
import { formatFault } from './schema-faults.ts';
import type { Step, Steps, Turn } from './script.ts';

/** What a model says, and where the engine falls over the request instead. */
export async function* withEngineFaults(steps: Steps, turn: Turn): AsyncIterable<Step> {
  if (crashesSampler(turn.request.options)) yield { crash: 'runner' };
  const faults = formatFaultSteps(turn);
  let isPlayed = faults.length === 0;
  if (!isPlayed && !turn.thinks) yield* faults;
  for await (const step of steps) {
    // A model that thinks is held to the format only when it has thought.
    const isContent = ('say' in step && step.say !== '') || 'calls' in step || 'done' in step;
    if (!isPlayed && isContent) {
      yield* faults;
      isPlayed = true;
    }
    yield step;
  }
}

/** A penalty that a single-precision number cannot tell from 0 is divided by; more than the best is none at all. */
const crashesSampler = ({ repeat_penalty, min_p }: Turn['request']['options']): boolean =>
  (typeof repeat_penalty === 'number' && Math.fround(repeat_penalty) === 0) || (typeof min_p === 'number' && min_p > 1);

function formatFaultSteps({ request: { format }, engine }: Turn): readonly Step[] {
  const fault = formatFault(format);
  if (fault === undefined) return [];
  if (fault === 'no-format') {
    const shown = JSON.stringify(JSON.stringify(format));
    return [{ error: `invalid format: ${shown}; expected "json" or a valid JSON Schema object` }];
  }
  if (engine !== 'may') return [{ error: grammarRefusal(engine), status: 400 }];
  if (fault === 'refused') return [{ error: 'invalid JSON schema in format' }];
  return [{ crash: fault === 'crashes-serve' ? 'serve' : 'runner' }];
}

/** The child's refusal, which newer engines pass on as a text, or whole. */
const grammarRefusal = (engine: Engine): string => {
  const message = 'Failed to initialize samplers: failed to parse grammar';
  return engine === 'native' ? goJson({ error: { code: 400, message, type: 'invalid_request_error' } }) : message;
};
