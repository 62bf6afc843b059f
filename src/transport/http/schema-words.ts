/** A JSON Schema, or any part of one. */
export type Schema = Readonly<Record<string, unknown>>;

/** One field of an object, as a table of fields shows it. */
export interface FieldWords {
  /** With the names of the objects that it stands in: `options.max_tokens`. */
  readonly name: string;
  readonly type: string;
  readonly isRequired: boolean;
  /** Markdown, of one paragraph; empty where there is nothing to say. */
  readonly about: string;
}

/** How a schema that is referred to is found. */
export type Resolve = (reference: string) => Schema;

/** The fields of an object, and of the objects in it, from top to bottom. */
export const toFields = (given: Schema, resolve: Resolve, prefix = ''): readonly FieldWords[] => {
  const { properties, required } = follow(given, resolve);
  const names: readonly unknown[] = Array.isArray(required) ? required : [];
  return Object.entries(toSchema(properties)).flatMap(([key, value]) => {
    const name = prefix + key;
    const field = toSchema(value);
    const own = { name, type: toType(field, resolve), isRequired: names.includes(key), about: toAbout(field, resolve) };
    return [own, ...toFields(field, resolve, `${name}.`)];
  });
};

/** The forms that data may have: more than one where the schema is a choice. */
export const toForms = (given: Schema, resolve: Resolve): readonly Schema[] => {
  const schema = follow(given, resolve);
  const choice = choiceOf(schema);
  return choice && !schema['properties'] ? choice.flatMap((each) => toForms(each, resolve)) : [schema];
};

/** What a value may be, in a few words: `"stop" | "length"`, `integer ≥ 1`, `string[]`. */
export const toType = (given: Schema, resolve: Resolve): string => {
  const schema = follow(given, resolve);
  if ('const' in schema) return JSON.stringify(schema['const']);
  if (Array.isArray(schema['enum'])) return schema['enum'].map((value) => JSON.stringify(value)).join(' | ');
  const choice = choiceOf(schema);
  if (choice && schema['type'] === undefined) return choice.map((each) => toType(each, resolve)).join(' | ');
  if (schema['type'] === 'array') return `${toType(toSchema(schema['items']), resolve)}[]`;
  return [typeof schema['type'] === 'string' ? schema['type'] : 'anything', ...toRange(schema)].join(' ');
};

const toRange = ({ minimum, maximum, maxLength }: Schema): readonly string[] => {
  if (typeof minimum === 'number' && typeof maximum === 'number') return [`${minimum} to ${maximum}`];
  if (typeof minimum === 'number') return [`≥ ${minimum}`];
  return typeof maxLength === 'number' ? [`of at most ${maxLength} characters`] : [];
};

const toAbout = (field: Schema, resolve: Resolve): string => {
  const { description, default: byDefault } = { ...follow(field, resolve), ...field };
  const words = typeof description === 'string' ? [description] : [];
  return [
    ...words,
    ...(byDefault === undefined || isObject(byDefault) ? [] : [`Default: \`${JSON.stringify(byDefault)}\`.`]),
  ].join(' ');
};

const follow = (schema: Schema, resolve: Resolve): Schema => {
  const only = Array.isArray(schema['allOf']) && schema['allOf'].length === 1 ? toSchema(schema['allOf'][0]) : schema;
  return typeof only['$ref'] === 'string' ? follow(resolve(only['$ref']), resolve) : only;
};

const choiceOf = ({ anyOf, oneOf }: Schema): readonly Schema[] | undefined => {
  const choice: unknown = anyOf ?? oneOf;
  return Array.isArray(choice) ? choice.map(toSchema) : undefined;
};

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null;
const toSchema = (value: unknown): Schema => Object(value) as Schema; // what is no object says nothing
