import { describe, expect, it } from 'vitest';
import { RunningService, type Call } from '../../support/running-service.ts';

type Part = Readonly<Record<string, unknown>>;

interface Parameter {
  readonly in: string;
  readonly name: string;
  readonly required?: boolean;
  readonly example?: string | number;
  readonly schema: Part;
}

interface Operation {
  readonly operationId: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Part }>> };
}

const METHODS = ['get', 'post', 'patch', 'delete'];

/** Each operation as the docs' "try it out" calls it: with the examples and defaults as they stand. */
const toCalls = (document: Part): readonly { readonly name: string; readonly path: string; readonly call: Call }[] =>
  Object.entries(document['paths'] as Record<string, Record<string, Operation>>).flatMap(([path, operations]) =>
    METHODS.flatMap((method) => {
      const operation = operations[method];
      return operation === undefined ? [] : [toCall(document, path, method, operation)];
    }),
  );

const toCall = (document: Part, path: string, method: string, operation: Operation) => {
  const { operationId, parameters = [], requestBody } = operation;
  let filled = path;
  const query = new URLSearchParams();
  for (const parameter of parameters) {
    const value = (parameter.example ?? toExample(document, parameter.schema)) as string | number | undefined; // of a text or a number
    if (parameter.in === 'path') filled = filled.replace(`{${parameter.name}}`, encodeURIComponent(String(value)));
    if (parameter.in === 'query' && value !== undefined) query.set(parameter.name, String(value));
  }
  const body = requestBody && toExample(document, requestBody.content['application/json']?.schema ?? {});
  return {
    name: operationId,
    path: query.size > 0 ? `${filled}?${query.toString()}` : filled,
    call: { method: method.toUpperCase(), ...(requestBody && { body }), headers: { accept: 'application/json' } },
  };
};

const toExample = (document: Part, schema: Part): unknown => {
  if (typeof schema['$ref'] === 'string') return toExample(document, resolve(document, schema['$ref']));
  const examples = schema['examples'] as readonly unknown[] | undefined;
  return schema['example'] ?? examples?.[0] ?? schema['default'];
};

const resolve = (document: Part, reference: string): Part =>
  reference
    .split('/')
    .slice(1)
    .reduce((part, name) => part[name] as Part, document);

describe('/docs', () => {
  it('is a page of local files, and needs no script of its own', async () => {
    await using service = await RunningService.start();
    const { status, text, headers } = await service.call('/docs/');
    expect(status).toBe(200);
    const policy = headers.get('content-security-policy') ?? '';
    expect(policy).toContain("script-src 'self'");
    expect(policy).not.toContain('unsafe-eval');
    expect(text).not.toMatch(/<script(?![^>]* src=)|<style|\son\w+=|javascript:/i);
    const assets = [...text.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, asset]) => asset ?? '');
    expect(assets.length).toBeGreaterThan(3);
    for (const asset of assets) {
      expect(asset).toMatch(/^\.\/static\//);
      const file = await service.call(`/docs/${asset}`);
      expect(file.status).toBe(200);
      expect(file.text.length).toBeGreaterThan(0);
    }
  });

  it('shows the document of this service', async () => {
    await using service = await RunningService.start();
    const { body } = await service.call('/docs/json');
    expect(body).toEqual(service.openApi);
    expect((await service.call('/')).headers.get('location')).toBe('/docs');
    expect((await service.call('/docs/')).status).toBe(200);
  });

  it('has example calls that run as they stand', async () => {
    await using service = await RunningService.start();
    const calls = toCalls(service.openApi);
    expect(calls.map(({ name }) => name)).toContain('generateResponse');
    const last = calls.filter(({ call }) => call.method === 'DELETE');
    for (const { name, path, call } of [...calls.filter((candidate) => !last.includes(candidate)), ...last]) {
      const { status, text } = await service.call(path, call);
      expect({ name, status, text: status < 300 ? '' : text }).toEqual({ name, status: expect.any(Number), text: '' });
    }
  });

  it('has them as they stand with keys, too', async () => {
    const key = `ada.${'s'.repeat(43)}`;
    await using service = await RunningService.start({ settings: { API_KEYS: key } });
    for (const path of ['/conversations/demo', '/replies/msg_demo']) {
      expect((await service.call(path, { headers: { authorization: `Bearer ${key}` } })).status).toBe(200);
    }
  });
});
