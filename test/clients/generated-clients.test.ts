import { spawnSync } from 'node:child_process';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FROM_CACHE, INSTALL_MS, runLine } from '../deploy/npm.ts';
import { RunningService } from '../support/running-service.ts';

/**
 * What generators make of `openapi.yaml`: clients whose types take the requests that README.md shows, and whose calls
 * are answered. The generators need a TypeScript of their own, so they are installed beside the project.
 */

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const OPENAPI_PYTHON_CLIENT = 'openapi-python-client==0.29.1';
const hasPython = spawnSync('python3', ['-c', 'import ensurepip, venv']).status === 0;

/** What README.md asks, and each way to ask that has fields of its own. */
const REQUESTS = [
  { conversation_id: 'c1', user_input: 'Hello!' },
  { conversation_id: 'c3', user_input: 'I think I left.', request_id: 'r1', background: true },
  { conversation_id: 'c1', user_input: 'Hello!', max_tokens: 100, temperature: 1, stop: ['.'], think: 'low' },
];
const AGAIN = [
  { conversation_id: 'c1', continue: 'MESSAGE_ID' },
  { conversation_id: 'c1', regenerate: 'MESSAGE_ID', temperature: 1 },
  { conversation_id: 'c1', edit: 'MESSAGE_ID', user_input: 'Hello again!' },
];

/** A caller of types alone: it is checked, and then it runs. */
const TYPED_FETCH = (url: string): string => `
import createClient from 'openapi-fetch';
import type { paths } from './types.ts';

const client = createClient<paths>({ baseUrl: ${JSON.stringify(url)} });
const { data, error } = await client.POST('/generate_response', { body: ${JSON.stringify(REQUESTS[0])} });
if (error) throw new Error(error.error);
const text: string = 'response' in data ? data.response : data.message_id;
const page = await client.GET('/replies/{message_id}/events', {
  params: { path: { message_id: data.message_id } },
  headers: { accept: 'application/json' },
});
const last = page.data?.events.at(-1);
console.log(JSON.stringify([text, last?.event]));

type Body = NonNullable<paths['/generate_response']['post']['requestBody']>['content']['application/json'];
export const requests: Body[] = ${JSON.stringify([...REQUESTS, ...AGAIN])};
`;

const SDK_CALLER = `
import { generateResponse, listMessages } from './sdk';
import type { GenerateResponseRequest, LlmResponse, BackgroundAnswer } from './sdk';

export const requests: GenerateResponseRequest[] = ${JSON.stringify([...REQUESTS, ...AGAIN])};
const answered = await generateResponse({ body: ${JSON.stringify(REQUESTS[0])}, throwOnError: true });
export const answer: LlmResponse | BackgroundAnswer = answered.data;
const listed = await listMessages({ path: { conversation_id: 'c1' }, throwOnError: true });
export const texts: string[] = listed.data.messages.map(({ content }) => content);
`;

/** Wrong on purpose: that the types refuse it shows that they are there. */
const WRONG = `
import type { GenerateResponseRequest } from './sdk';
export const request: GenerateResponseRequest = { conversation_id: 'c1', user_input: 1 };
`;

const PYTHON_CALLER = (url: string): string => `
from client import Client
from client.api.chat import generate_response
from client.models import GenerateResponseRequest, LLMResponse

bodies = [GenerateResponseRequest.from_dict(each) for each in ${toPython([...REQUESTS, ...AGAIN])}]
answer = generate_response.sync(client=Client(base_url=${JSON.stringify(url)}), body=bodies[0])
assert isinstance(answer, LLMResponse), answer
print(answer.response, end="")
`;

const toPython = (value: unknown): string => JSON.stringify(value).replaceAll('true', 'True');

const STRICT = '--strict --noEmit --skipLibCheck --target es2024 --module esnext --moduleResolution bundler';

let folder: string;
let service: RunningService;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'chat-clients-'));
  await cp(join(ROOT, 'test/clients/generators'), folder, { recursive: true });
  await Promise.all(['openapi.yaml', 'asyncapi.yaml'].map((name) => cp(join(ROOT, name), join(folder, name))));
  service = await RunningService.start();
  await runLine(`npm ci --ignore-scripts ${FROM_CACHE}`, folder);
}, INSTALL_MS);

afterAll(async () => {
  await service[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const sayOf = async (text: Promise<string>): Promise<string> => text.catch(({ stdout }) => String(stdout));

describe('a client made of openapi.yaml', { timeout: INSTALL_MS }, () => {
  it('by openapi-typescript takes what README.md asks, and is answered', async () => {
    await runLine('npx openapi-typescript openapi.yaml -o types.ts', folder);
    await writeFile(join(folder, 'fetch.mts'), TYPED_FETCH(service.url));
    const line = `npx tsc ${STRICT} --allowImportingTsExtensions --lib es2024,dom,dom.iterable fetch.mts types.ts`;
    expect(await sayOf(runLine(line, folder))).toBe('');
    const [text, last] = JSON.parse(await runLine('node fetch.mts', folder));
    expect(text).toContain(service.ollama.ledger.chats.at(-1)?.salt);
    expect(last).toBe('llm_response');
  });

  it('by @hey-api/openapi-ts takes the same, and refuses what is wrong', async () => {
    await runLine('npx openapi-ts -i openapi.yaml -o sdk', folder);
    await writeFile(join(folder, 'caller.ts'), SDK_CALLER);
    await writeFile(join(folder, 'wrong.ts'), WRONG);
    const check = (name: string): Promise<string> =>
      sayOf(runLine(`npx tsc ${STRICT} --lib es2024,dom,dom.iterable ${name}`, folder));
    expect(await check('caller.ts')).toBe('');
    expect(await check('wrong.ts')).toContain("Type 'number' is not assignable to type 'string'");
  });

  it.skipIf(!hasPython)('by openapi-python-client takes the same, without a warning, and is answered', async () => {
    await runLine(`python3 -m venv python && python/bin/pip install -q ${OPENAPI_PYTHON_CLIENT}`, folder);
    const line = 'python/bin/openapi-python-client generate --meta none --path openapi.yaml --output-path client 2>&1';
    expect(await runLine(line, folder)).not.toMatch(/warning|unsupported|error/i);
    await writeFile(join(folder, 'caller.py'), PYTHON_CALLER(service.url));
    expect(await runLine('python/bin/python caller.py', folder)).toContain(service.ollama.ledger.chats.at(-1)?.salt);
  });
});

describe('linters', { timeout: INSTALL_MS }, () => {
  it.each(['openapi.yaml', 'asyncapi.yaml'])('Redocly has nothing to say about %s', async (name) => {
    const line = `REDOCLY_TELEMETRY=off npx redocly lint --format=json ${name}`;
    const { totals } = JSON.parse(await runLine(line, folder));
    expect(totals).toMatchObject({ errors: 0, warnings: 0 });
  });

  it('Spectral has nothing to say about openapi.yaml', async () => {
    await writeFile(join(folder, '.spectral.yaml'), 'extends: ["spectral:oas"]\n');
    expect(
      JSON.parse(await sayOf(runLine('npx spectral lint --quiet --format json openapi.yaml', folder))),
    ).toStrictEqual([]);
  });
});
