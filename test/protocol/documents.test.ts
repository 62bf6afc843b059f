import { existsSync, readFileSync } from 'node:fs';
import { Parser } from '@asyncapi/parser';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { VERSION } from '../../src/app.ts';
import { buildAsyncApi } from '../../src/protocol/asyncapi.ts';
import { clientEvents } from '../../src/protocol/client-events.ts';
import { serverEvents } from '../../src/protocol/server-events.ts';
import { toYaml } from '../../src/transport/http/documents.ts';
import { createGatedReply } from '../support/gated-reply.ts';
import { RunningService } from '../support/running-service.ts';

type Part = Readonly<Record<string, unknown>>;

/** Diagnostics of the AsyncAPI parser: 0 is an error, 1 a warning, above are hints. */
const WARNING = 1;

const asyncApi: Part = JSON.parse(JSON.stringify(buildAsyncApi(VERSION)));
let openApi: Part;

beforeAll(async () => {
  await using service = await RunningService.start();
  openApi = JSON.parse(JSON.stringify(service.openApi));
});

/** Every part of a document, with its place. */
function* partsOf(value: unknown, place = ''): Generator<readonly [string, Part]> {
  if (typeof value !== 'object' || value === null) return;
  yield [place, value as Part];
  for (const [key, inner] of Object.entries(value)) yield* partsOf(inner, `${place}/${key}`);
}

describe.each([
  ['openapi.yaml', () => toYaml(openApi)],
  ['asyncapi.yaml', () => toYaml(asyncApi)],
])('%s', (name, toText) => {
  const path = new URL(`../../${name}`, import.meta.url);

  it.skipIf(!existsSync(path))('stands in the repository as the schemas make it', () => {
    expect(readFileSync(path, 'utf8') === toText(), 'it does not; run: npm run docs').toBe(true);
  });

  it('is what the service shows', async () => {
    await using service = await RunningService.start();
    const { status, headers, text } = await service.call(`/${name}`);
    expect(status).toBe(200);
    expect(headers.get('content-type')).toContain('yaml');
    expect(text).toBe(toText());
  });

  it('says nothing of what does not work yet', () => {
    expect(toText()).not.toMatch(/tool|flow/i);
  });

  it('has no schema that is not used, and refers to none that is not there', () => {
    const document: Part = parse(toText());
    const { schemas = {} } = document['components'] as { schemas?: Part };
    const used = [...partsOf(document)].flatMap(([, { $ref }]) => (typeof $ref === 'string' ? [$ref] : []));
    const names = Object.keys(schemas).map((schema) => `#/components/schemas/${schema}`);
    expect(names.filter((schema) => !used.includes(schema))).toEqual([]);
    const referred = used.filter((reference) => reference.startsWith('#/components/schemas/'));
    expect(referred.filter((reference) => !names.includes(reference))).toEqual([]);
  });

  it('speaks to people: no limits of the machine, no words of the generator', () => {
    expect(toText()).not.toMatch(/9007199254740991|Default Response|Input:|\$schema|definitions/);
  });
});

describe('openapi.yaml', () => {
  it('is valid OpenAPI 3.1', async () => {
    const { valid, errors } = await new Validator().validate(structuredClone(openApi));
    expect(errors).toBeUndefined();
    expect(valid).toBe(true);
    expect(openApi['openapi']).toBe('3.1.0');
  });

  it('describes every operation, parameter, answer and field', () => {
    const isDescribed = (part: Part): boolean => typeof part['description'] === 'string' || '$ref' in part;
    const bare = [...partsOf(openApi)].flatMap(([place, part]) => {
      const isOperation = 'operationId' in part;
      const isParameter = /\/parameters\/\d+$/.test(place);
      const isAnswer = /\/responses\/\w+$/.test(place);
      const isSchema = /\/components\/schemas\/\w+$/.test(place);
      if (isOperation) return typeof part['summary'] === 'string' ? [] : [place];
      return (isParameter || isAnswer || isSchema) && !isDescribed(part) ? [place] : [];
    });
    expect(bare).toEqual([]);
  });

  it('names every operation once', () => {
    const names = [...partsOf(openApi['paths'])].flatMap(([, part]) => part['operationId'] ?? []);
    expect(names.length).toBeGreaterThan(10);
    expect(new Set(names).size).toBe(names.length);
  });

  it('has the paths that the service answers', () => {
    expect(Object.keys(openApi['paths'] as Part)).toEqual([
      '/generate_response',
      '/conversations',
      '/conversations/{conversation_id}',
      '/conversations/{conversation_id}/messages',
      '/replies/{message_id}',
      '/replies/{message_id}/events',
      '/replies/{message_id}/cancel',
      '/models',
      '/health',
      '/metrics',
      '/health/live',
      '/health/ready',
    ]);
  });

  it('describes what is really answered', async () => {
    await using service = await RunningService.start();
    const check = toAnswerCheck(openApi);
    const ask = (user_input: string, fields: object = {}) => ({ conversation_id: 'c1', user_input, ...fields });
    check(
      '/conversations',
      'post',
      await service.post('/conversations', { conversation_id: 'c1', metadata: { a: 1 } }),
    );
    check('/conversations', 'post', await service.post('/conversations', { conversation_id: 'c1' }));
    const thinking = ask('hello', { think: true, metadata: { page: 1 } });
    const whole = await service.post('/generate_response', thinking);
    check('/generate_response', 'post', whole);
    check('/generate_response', 'post', await service.post('/generate_response', ask('[[error-line:3]]')));
    check('/generate_response', 'post', await service.post('/generate_response', ask('hello', { nonsense: 1 })));
    service.ollama.next(createGatedReply().script);
    const begun = await service.post('/generate_response', ask('hello', { background: true }));
    check('/generate_response', 'post', begun);
    check('/generate_response', 'post', await service.post('/generate_response', ask('and?')));
    check('/conversations/{conversation_id}', 'get', await service.call('/conversations/c1'));
    for (const { body } of [whole, begun]) {
      const path = `/replies/${String(body['message_id'])}`;
      check('/replies/{message_id}', 'get', await service.call(path));
      check('/replies/{message_id}/cancel', 'post', await service.call(`${path}/cancel`, { method: 'POST' }));
      const headers = { accept: 'application/json' };
      check('/replies/{message_id}/events', 'get', await service.call(`${path}/events`, { headers }));
    }
    check('/conversations/{conversation_id}/messages', 'get', await service.call('/conversations/c1/messages'));
    check('/models', 'get', await service.call('/models'));
    for (const path of ['/health', '/health/live', '/health/ready']) check(path, 'get', await service.call(path));
    const deleted = await service.call('/conversations/c1', { method: 'DELETE' });
    check('/conversations/{conversation_id}', 'delete', deleted);
    check('/conversations/{conversation_id}', 'get', await service.call('/conversations/c1'));
    await service.chat.drain(0);
    for (const path of ['/health', '/health/ready']) check(path, 'get', await service.call(path));
    expect(check.count).toBeGreaterThan(20);
  });
});

interface Answered {
  readonly status: number;
  readonly text: string;
}

/** Checks an answer against its schema: of its status, or of its class of statuses. */
const toAnswerCheck = (document: Part) => {
  const ajv = addFormats.default(new Ajv2020({ strict: false, allErrors: true }));
  ajv.addSchema(document, 'openapi');
  const check = (path: string, method: string, { status, text }: Answered): void => {
    check.count += 1;
    const answers = [String(status), `${Math.floor(status / 100)}XX`];
    const { responses } = (document['paths'] as Record<string, Record<string, { responses: Part }>>)[path]![method]!;
    const known = answers.find((name) => name in responses);
    expect(known, `${method} ${path} answers ${status}: ${text}`).toBeDefined();
    const pointer = ['paths', path, method, 'responses', known ?? '', 'content', 'application/json', 'schema'];
    const place = pointer.map((name) => encodeURIComponent(name.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/');
    const validate = ajv.getSchema(`openapi#/${place}`) ?? ajv.compile({ $ref: `openapi#/${place}` });
    void validate(JSON.parse(text)); // its errors are told below
    expect({ path, method, status, errors: validate.errors ?? [] }).toEqual({ path, method, status, errors: [] });
  };
  check.count = 0;
  return check;
};

describe('asyncapi.yaml', () => {
  it('is valid AsyncAPI 3.0', async () => {
    const { document, diagnostics } = await new Parser().parse(structuredClone(asyncApi) as never); // takes any object
    const told: readonly { readonly severity: number; readonly message: string }[] = diagnostics;
    expect(told.filter(({ severity }) => severity <= WARNING)).toEqual([]);
    expect(document?.version()).toBe('3.0.0');
  });

  it('has all events, each with a summary and an example', () => {
    const { messages } = asyncApi['components'] as { messages: Record<string, { summary?: string; examples: [] }> };
    expect(Object.keys(messages)).toEqual([...Object.keys(clientEvents), ...Object.keys(serverEvents)]);
    const bare = Object.entries(messages).filter(([, { summary, examples }]) => !summary || examples.length === 0);
    expect(bare).toEqual([]);
  });

  it('has examples that are frames', () => {
    const check = toFrameCheck(asyncApi);
    const { messages } = asyncApi['components'] as { messages: Record<string, { examples: { payload: unknown }[] }> };
    for (const { examples } of Object.values(messages)) for (const { payload } of examples) check(payload);
    for (const [name, schema] of Object.entries({ ...clientEvents, ...serverEvents })) {
      for (const { payload } of messages[name]?.examples ?? []) {
        expect(schema.safeParse((payload as { data: unknown }).data).error).toBeUndefined();
      }
    }
  });

  it('describes the frames that are really sent and taken, in both directions', async () => {
    await using service = await RunningService.start({ settings: { LLM_MAX_TURNS: '1' } });
    const client = await service.connect();
    const check = toFrameCheck(asyncApi);
    const seen = new Set<unknown>();
    const say = (event: string, data?: unknown): void => {
      check({ event, ...(data !== undefined && { data }) });
      client.send(event, data);
    };
    const request = { conversation_id: 'c1', message: 'hello', metadata: { page: 1 } };
    const ask = async (fields: object): Promise<string> => {
      const from = client.frames.length;
      say('llm_request', { ...request, ...fields });
      return String((await client.waitForEnd(from)).data['message_id']);
    };
    say('ping');
    say('ping', [1]);
    await ask({ think: true, options: { temperature: 0, max_tokens: 64 }, stream: 'cumulative' });
    const message_id = await ask({ message: '[[long:30]]', think: 'low', request_id: 'r2', if_busy: 'interrupt' });
    await ask({ message: '[[error-line:3]]', stream: 'none' });
    say('llm_resume', { message_id, seq: 1, at: 9, digest: '00000000' });
    await client.waitForEvent('llm_rewind');
    const { script, gate } = createGatedReply();
    service.ollama.next(script);
    say('llm_request', { ...request, request_id: 'r3' });
    await gate.reached;
    say('llm_cancel', { conversation_id: 'c1', request_id: 'r3' });
    await client.waitFor(({ data }) => data['state'] === 'released');
    for (const { text } of client.frames) {
      check(JSON.parse(text));
      seen.add(JSON.parse(text).event);
    }
    expect(seen).toEqual(new Set(Object.keys(serverEvents)));
  });

  it('does not describe what is not taken', () => {
    const check = toFrameCheck(asyncApi);
    const wrong = [
      { event: 'llm_request', data: { conversation_id: 'c1' } },
      { event: 'llm_request', data: { conversation_id: 'c1', message: 'a', tools: [] } },
      { event: 'llm_cancel', data: {} },
      { event: 'ping', data: 1, id: 2 },
    ];
    for (const frame of wrong) expect(() => check(frame)).toThrow(/errors/);
  });
});

/** Checks a frame against the payload of its event. */
const toFrameCheck = (document: Part) => {
  const ajv = addFormats.default(new Ajv({ strict: false, allErrors: true }));
  ajv.addSchema(document, 'asyncapi');
  return (frame: unknown): void => {
    const { event } = frame as { event: string };
    const validate = ajv.compile({ $ref: `asyncapi#/components/messages/${event}/payload` });
    void validate(frame); // its errors are told below
    expect({ event, errors: validate.errors ?? [] }).toEqual({ event, errors: [] });
  };
};
