import { type Fields, fieldsOf, isFields } from './records.ts';

/**
 * What a `format` does to an engine that cannot make a grammar of it: it is refused, or it takes down the process that
 * reads it, which is the model's runner or Ollama itself.
 */
export type FormatFault = 'no-format' | 'refused' | 'crashes-runner' | 'crashes-serve';

/** Repetitions that a grammar has room for. */
const MOST_REPETITIONS = 2_000;
/** Properties that may be left out: each of them is a choice within the others. */
const MOST_OPTIONAL = 250;
const COUNTS = ['minLength', 'maxLength', 'minItems', 'maxItems'];
const TYPES = new Set(['null', 'boolean', 'object', 'array', 'number', 'integer', 'string']);
const WORST_FIRST = ['crashes-serve', 'refused', 'crashes-runner'] as const;

/** Undefined where a grammar can be made of it. */
export function formatFault(format: unknown): FormatFault | undefined {
  if (format === undefined || format === 'json') return undefined;
  if (!isFields(format)) return 'no-format';
  const faults = new Set(schemasIn(format).flatMap((schema) => faultsOf(schema, format)));
  return WORST_FIRST.find((fault) => faults.has(fault));
}

/** The schema and all that it is made of. */
function schemasIn(schema: Fields): readonly Fields[] {
  const inner = ['items', 'additionalProperties', 'not'].map((keyword) => schema[keyword]);
  const lists = ['anyOf', 'oneOf', 'allOf', 'prefixItems'].map((keyword) => schema[keyword]);
  const maps = ['properties', '$defs', 'definitions'].map((keyword) => Object.values(fieldsOf(schema[keyword])));
  const all = [...inner, ...lists.flat(), ...maps.flat()];
  return [schema, ...all.filter(isFields).flatMap(schemasIn)];
}

const faultsOf = (schema: Fields, root: Fields): readonly FormatFault[] => [
  ...patternFaults(schema['pattern']),
  ...(isKnownType(schema['type']) && leadsSomewhere(schema['$ref'], root) ? [] : (['refused'] as const)),
  ...(COUNTS.some((name) => Number(schema[name] ?? 0) >= MOST_REPETITIONS) ? (['crashes-runner'] as const) : []),
  ...(optionalIn(schema) > MOST_OPTIONAL ? (['crashes-runner'] as const) : []),
];

function patternFaults(pattern: unknown): readonly FormatFault[] {
  if (typeof pattern !== 'string') return [];
  if (/\(\?/.test(pattern)) return ['crashes-serve']; // groups that do not capture, lookaheads, lookbehinds
  if (!/^\^.*\$$/s.test(pattern) || !isRegularExpression(pattern)) return ['refused'];
  return /\\[A-Za-z]/.test(pattern) ? ['crashes-runner'] : []; // classes such as \d get into the grammar as they are
}

function isRegularExpression(pattern: string): boolean {
  try {
    return new RegExp(pattern) instanceof RegExp;
  } catch {
    return false;
  }
}

const isKnownType = (type: unknown): boolean =>
  type === undefined || (Array.isArray(type) ? type : [type]).every((each) => TYPES.has(each));

function leadsSomewhere(reference: unknown, root: Fields): boolean {
  if (typeof reference !== 'string') return true;
  const [start, ...steps] = reference.split('/');
  return start === '#' && isFields(steps.reduce<unknown>((at, step) => fieldsOf(at)[step], root));
}

function optionalIn(schema: Fields): number {
  const required: readonly unknown[] = Array.isArray(schema['required']) ? schema['required'] : [];
  return Object.keys(fieldsOf(schema['properties'])).filter((name) => !required.includes(name)).length;
}
