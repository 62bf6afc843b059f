import { type Fields as Schema, fieldsOf as toSchema, isFields as isSchema } from './records.ts';

/** A JSON text that holds the salt wherever a free string may stand, and is the least that the schema allows. */
export const structuredReply = (format: unknown, salt: string): string =>
  JSON.stringify(isSchema(format) ? valueOf(format, salt) : { salt, count: 3, items: ['one', 'two'] });

/** The least value that a schema allows, with the salt wherever a free string may stand. */
export function valueOf(schema: Schema, salt: string): unknown {
  if ('const' in schema) return schema['const'];
  if (Array.isArray(schema['enum'])) return schema['enum'][0];
  const options = schema['anyOf'] ?? schema['oneOf'];
  if (Array.isArray(options)) return valueOf(toSchema(options[0]), salt);
  const type = Array.isArray(schema['type']) ? schema['type'][0] : schema['type'];
  if (type === 'string') return salt.padEnd(numberOf(schema, 'minLength'), 'x');
  if (type === 'integer' || type === 'number') return numberOf(schema, 'minimum');
  if (type === 'boolean') return true;
  if (type === 'null') return null;
  if (type === 'array') return listOf(schema, salt);
  return objectOf(schema, salt);
}

function listOf(schema: Schema, salt: string): readonly unknown[] {
  return Array.from({ length: numberOf(schema, 'minItems') }, () => valueOf(toSchema(schema['items']), salt));
}

function objectOf(schema: Schema, salt: string): Schema {
  const required: readonly unknown[] = Array.isArray(schema['required']) ? schema['required'] : [];
  const properties = Object.entries(toSchema(schema['properties'])).filter(([name]) => required.includes(name));
  return Object.fromEntries(properties.map(([name, property]) => [name, valueOf(toSchema(property), salt)]));
}

const numberOf = (schema: Schema, name: string): number => (typeof schema[name] === 'number' ? schema[name] : 0);
