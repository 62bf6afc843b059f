import { dereference, validate } from '@cfworker/json-schema';
import type { Schema } from '@cfworker/json-schema';
import { InvalidRequestError } from '../errors.ts';

type Keywords = Readonly<Record<string, unknown>>;

/** Checks what a keyword holds and copies it. */
type Rule = (value: unknown, copy: (schema: unknown) => unknown, keyword: string) => unknown;

const MAX_DEPTH = 32;
const MAX_SCHEMAS = 2_000;
const MAX_REFERENCES_FOLLOWED = 100_000; // some 100 ms

/**
 * A JSON Schema (2020-12) of a caller's, by which answers are judged on our event loop. Therefore it is bounded: in
 * depth, in size, in the references followed. And a regular expression of a caller's could run as long as it likes:
 * `pattern` and `patternProperties` go to the model but are not evaluated here. Where they occur, neither is what
 * would be turned around by their absence (`not`, `oneOf`, `if` …); such a schema is checked more mildly.
 */
export class AnswerSchema {
  readonly #schema: Schema;
  readonly #lookup: Readonly<Record<string, Schema | boolean>>;

  /** @throws InvalidRequestError when it is no schema that can be used */
  constructor(schema: unknown) {
    const copied = copySchema(schema, NOTHING);
    this.#schema = copied.hasPattern ? copySchema(schema, TURNED_BY_PATTERNS).schema : copied.schema;
    if (!Object.keys(this.#schema).some((keyword) => STRUCTURAL.has(keyword))) throw unusable('it asks for nothing');
    this.#lookup = resolveReferences(this.#schema);
    this.#refuseEndless();
  }

  /** Whether the value meets it. @throws RangeError when that takes too long to say */
  isMetBy(value: unknown): boolean {
    return validate(value, this.#schema, '2020-12', withBudget(this.#lookup)).valid;
  }

  /** What refers to itself without taking a step into the value would never end. */
  #refuseEndless(): void {
    try {
      for (const sample of [null, true, 0, '', [], {}]) this.isMetBy(sample);
    } catch (error) {
      throw unusable('it refers to itself without end', error);
    }
  }
}

const isKeywords = (value: unknown): value is Keywords =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const unusable = (what: string, cause?: unknown): InvalidRequestError =>
  new InvalidRequestError(`\`format\` is no JSON Schema that can be used: ${what}.`, { cause });

const NOTHING: ReadonlySet<string> = new Set();
const TURNED_BY_PATTERNS: ReadonlySet<string> = new Set(
  'pattern patternProperties not oneOf if then else maxContains unevaluatedProperties unevaluatedItems'.split(' '),
);
const STRUCTURAL: ReadonlySet<string> = new Set(
  'type properties required items prefixItems enum const $ref allOf anyOf oneOf additionalProperties'.split(' '),
);
const TYPES: ReadonlySet<unknown> = new Set('null boolean object array number integer string'.split(' '));

const must =
  (what: string, isRight: (value: unknown) => boolean): Rule =>
  (value, _copy, keyword) => {
    if (!isRight(value)) throw unusable(`\`${keyword}\` must be ${what}`);
    return structuredClone(value); // the validator writes its notes into what it is given
  };
const isListOf = (isRight: (value: unknown) => boolean) => (value: unknown) =>
  Array.isArray(value) && value.every(isRight);
const isText = (value: unknown): boolean => typeof value === 'string';

const text = must('text', isText);
const number = must('a number', Number.isFinite);
const schema: Rule = (value, copy) => copy(value);
const schemas: Rule = (value, copy, keyword) => {
  if (!Array.isArray(value) || value.length === 0) throw unusable(`\`${keyword}\` must be a list of schemas`);
  return value.map(copy);
};
const schemaMap: Rule = (value, copy, keyword) => {
  if (!isKeywords(value)) throw unusable(`\`${keyword}\` must be an object of schemas`);
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, copy(each)]));
};

/** What is evaluated; all other keywords only describe. */
const RULES: ReadonlyMap<string, Rule> = new Map([
  ...['not', 'if', 'then', 'else', 'items', 'contains', 'propertyNames'].map((each) => [each, schema] as const),
  ...['additionalProperties', 'unevaluatedProperties', 'unevaluatedItems'].map((each) => [each, schema] as const),
  ...['allOf', 'anyOf', 'oneOf', 'prefixItems'].map((each) => [each, schemas] as const),
  ...['properties', '$defs', 'definitions', 'dependentSchemas'].map((each) => [each, schemaMap] as const),
  ['patternProperties', schemaMap],
  ...['pattern', 'format', '$anchor'].map((each) => [each, text] as const),
  ['$ref', must('a reference into this schema (`#/…`)', (value) => isText(value) && String(value).startsWith('#'))],
  [
    'type',
    must('a type or a list of types', (value) => TYPES.has(value) || isListOf((each) => TYPES.has(each))(value)),
  ],
  ['required', must('a list of names', isListOf(isText))],
  ['enum', must('a list', Array.isArray)],
  ['const', must('a value', () => true)],
  ['uniqueItems', must('true or false', (value) => typeof value === 'boolean')],
  ...['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'].map((each) => [each, number] as const),
  ...['multipleOf', 'minLength', 'maxLength', 'minItems', 'maxItems'].map((each) => [each, number] as const),
  ...['minContains', 'maxContains', 'minProperties', 'maxProperties'].map((each) => [each, number] as const),
]);

/** A copy with the keywords that are evaluated, but for those to be left out. */
const copySchema = (root: unknown, omitted: ReadonlySet<string>): { schema: Schema; hasPattern: boolean } => {
  let copies = 0;
  let hasPattern = false;
  const copyAt = (value: unknown, depth: number): Keywords | boolean => {
    if (typeof value === 'boolean') return value;
    if (!isKeywords(value)) throw unusable('where a schema is expected stands something else');
    if (depth > MAX_DEPTH) throw unusable(`it is nested more than ${MAX_DEPTH} levels deep`);
    if (++copies > MAX_SCHEMAS) throw unusable(`it consists of more than ${MAX_SCHEMAS} schemas`);
    hasPattern ||= 'pattern' in value || 'patternProperties' in value;
    const copied = Object.entries(value).flatMap(([keyword, held]) => {
      const rule = RULES.get(keyword);
      // What the patterns would have let pass must not be refused as additional.
      const isTurned = keyword === 'additionalProperties' && 'patternProperties' in value;
      if (!rule || omitted.has(keyword) || (isTurned && omitted.has('patternProperties'))) return [];
      return [[keyword, rule(held, (inner) => copyAt(inner, depth + 1), keyword)] as const];
    });
    return Object.fromEntries(copied);
  };
  if (!isKeywords(root)) throw unusable('it must be "json" or an object');
  const copy = copyAt(root, 1);
  return { schema: copy === true || copy === false ? {} : copy, hasPattern };
};

const resolveReferences = (root: Schema): Readonly<Record<string, Schema | boolean>> => {
  const lookup = findSchemas(root);
  for (const each of Object.values(lookup)) {
    if (typeof each === 'boolean' || each.$ref === undefined) continue;
    // The validator's own note: the reference as it looks it up.
    if (lookup[each['__absolute_ref__'] ?? each.$ref] === undefined) throw unusable('a `$ref` in it leads nowhere');
  }
  return lookup;
};

const findSchemas = (root: Schema): Readonly<Record<string, Schema | boolean>> => {
  try {
    return dereference(root);
  } catch (error) {
    throw unusable('its references cannot be resolved', error);
  }
};

/** The validator looks up each reference that it follows; the number of lookups is what makes a schema explode. */
const withBudget = (lookup: Readonly<Record<string, Schema | boolean>>): Record<string, Schema | boolean> => {
  let left = MAX_REFERENCES_FOLLOWED;
  return new Proxy(lookup, {
    get: (schemasByUri, uri) => {
      if (--left < 0) throw new RangeError('too many references followed');
      return schemasByUri[String(uri)];
    },
  });
};
