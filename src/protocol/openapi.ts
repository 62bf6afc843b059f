/** Any part of a document. */
type Part = Readonly<Record<string, unknown>>;

const SCHEMA_PREFIX = '#/components/schemas/';
/** The generator keeps what is sent apart from what is answered by this ending; no schema of ours is both. */
const INPUT = 'Input';
/** Header names are lower case in Node; people know them otherwise. */
const HEADERS: ReadonlyMap<unknown, string> = new Map([
  ['idempotency-key', 'Idempotency-Key'],
  ['last-event-id', 'Last-Event-ID'],
]);

/**
 * A generated OpenAPI document as people and generators of clients read it: the schemas that are used, in the order of
 * their use.
 */
export const tidyOpenApi = (document: Part): Part => {
  const components = toPart(document['components']);
  const schemas = toPart(components['schemas']);
  const used = Object.fromEntries(
    findUsed(document['paths'], schemas).map((name) => {
      const schema = name.endsWith(INPUT) ? withDefaultsInWords(schemas[name]) : schemas[name];
      return [withoutEnding(name), rewrite(schema)];
    }),
  );
  return { ...document, components: { ...components, schemas: used }, paths: rewrite(document['paths']) };
};

/**
 * What may be left out of a request, told in words alone: openapi-typescript takes a field that has a `default` for one
 * that is always there, and its callers would have to write it.
 */
const withDefaultsInWords = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(withDefaultsInWords);
  if (typeof value !== 'object' || value === null) return value;
  const { default: byDefault, ...rest } = toPart(value);
  const part = Object.fromEntries(Object.entries(rest).map(([key, inner]) => [key, withDefaultsInWords(inner)]));
  if (byDefault === undefined) return part;
  const words = typeof part['description'] === 'string' ? [part['description']] : [];
  return { ...part, description: [...words, `Default: ${JSON.stringify(byDefault)}.`].join(' ') };
};

/** The names of the schemas that `part` refers to, and those that they refer to. */
const findUsed = (part: unknown, schemas: Part): readonly string[] => {
  const found = new Set<string>();
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    const name = toSchemaName(toPart(value)['$ref']);
    if (name !== undefined && !found.has(name)) {
      found.add(name);
      visit(schemas[name]);
    }
    Object.values(value).forEach(visit);
  };
  visit(part);
  return [...found];
};

const rewrite = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(rewrite);
  if (typeof value !== 'object' || value === null) return value;
  const part = Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, rewrite(inner)]));
  const name = toSchemaName(part['$ref']);
  if (name !== undefined) return { ...part, $ref: SCHEMA_PREFIX + withoutEnding(name) };
  return part['in'] === 'header' ? { ...part, name: HEADERS.get(part['name']) ?? part['name'] } : part;
};

const toSchemaName = (reference: unknown): string | undefined =>
  typeof reference === 'string' && reference.startsWith(SCHEMA_PREFIX)
    ? reference.slice(SCHEMA_PREFIX.length)
    : undefined;

const withoutEnding = (name: string): string => (name.endsWith(INPUT) ? name.slice(0, -INPUT.length) : name);

const toPart = (value: unknown): Part => Object(value) as Part; // what is no object has no parts
