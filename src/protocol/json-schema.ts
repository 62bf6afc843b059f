import type { z } from 'zod';

type Override = NonNullable<NonNullable<Parameters<typeof z.toJSONSchema>[1]>['override']>;

/**
 * For `z.toJSONSchema`: leaves out what only repeats the machine's limits or a format that is named besides, so that
 * people can read the documents.
 */
export const plainSchema: Override = ({ jsonSchema }) => {
  if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
  if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
  if (jsonSchema.format !== undefined) delete jsonSchema.pattern;
  if (jsonSchema.contentEncoding !== undefined) delete jsonSchema.format; // base64 is no format of JSON Schema
  if (isAnyText(jsonSchema.propertyNames)) delete jsonSchema.propertyNames;
  if (isAnything(jsonSchema.additionalProperties)) jsonSchema.additionalProperties = true;
};

const isAnyText = (schema: unknown): boolean => JSON.stringify(schema) === '{"type":"string"}';
const isAnything = (schema: unknown): boolean => JSON.stringify(schema) === '{}';
