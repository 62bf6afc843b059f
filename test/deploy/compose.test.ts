import { existsSync, readFileSync } from 'node:fs';
import { BlockList } from 'node:net';
import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { SETTING_NAMES, isSettingName, type SettingName } from '../../src/config-settings.ts';
import { parseConfig } from '../../src/config.ts';
import { openRedisStore } from '../../src/stores/redis/open-redis-store.ts';
import { DEFAULT_RETENTION } from '../../src/stores/chat-store.ts';
import { systemClock, systemIds } from '../../src/system.ts';
import { KEY } from '../process/service-process.ts';
import { hasRedisServer, startRedisServer } from '../support/redis-server.ts';
import { readComposeFile, type Service } from './compose-file.ts';
import { last, readDockerfile, toVariables } from './dockerfile.ts';
import { runLine } from './npm.ts';

const ROOT = new URL('../../', import.meta.url);
const PATH = new URL('docker-compose.yml', ROOT);
const IMAGE = 'llm-chat-service';
/** After which the process ends in any case, whatever hangs (`src/main.ts`). */
const LONGEST_STOP_SECONDS = 19;

const file = readComposeFile(PATH, { API_KEYS: KEY });
const services: readonly (readonly [string, Service])[] = Object.entries(file.services);
const instances = services.filter(([, { image }]) => image === IMAGE);
const inImage = toVariables(readDockerfile(new URL('Dockerfile', ROOT)).at(-1)!); // it has stages
const nginx = file.services['nginx']!; // the schema does not say so, but the tests below do

const networksOf = ({ networks }: Service): readonly string[] =>
  Array.isArray(networks) ? networks : Object.keys(networks);

/** What an instance has in its environment: of the image, and over it what the file sets. */
const variablesOf = ({ environment = {} }: Service): Record<string, string> => ({
  ...inImage,
  ...Object.fromEntries(
    Object.entries(environment).flatMap(([name, value]) => (value === null ? [] : [[name, value]])),
  ),
});

describe('docker-compose.yml', () => {
  it('is as the compose specification says', () => {
    const schema = JSON.parse(
      readFileSync(new URL('../fixtures/compose-spec/compose-spec.json', import.meta.url), 'utf8'),
    );
    const { $schema: _draft, ...rest } = schema; // draft 7, under an address that Ajv does not know it by
    const validate = new Ajv({ strict: false, allErrors: true }).compile(rest);
    const document: unknown = parse(readFileSync(PATH, 'utf8'), { merge: true });
    expect(validate(document) ? [] : validate.errors).toEqual([]);
    expect(validate({ services: { chat: { imagge: 'x' } } })).toBe(false);
  });

  it('names only services, networks, volumes and files that there are', () => {
    const sources = services.flatMap(([, { volumes = [] }]) => volumes.map((volume) => volume.split(':')[0] ?? ''));
    const [files, volumes] = [true, false].map((isFile) =>
      sources.filter((source) => source.startsWith('./') === isFile),
    );
    expect(files?.filter((source) => !existsSync(new URL(source, ROOT)))).toEqual([]);
    expect(new Set(volumes)).toEqual(new Set(Object.keys(file.volumes)));
    const networks = services.flatMap(([, service]) => networksOf(service));
    expect(new Set(networks)).toEqual(new Set(Object.keys(file.networks)));
    const others = services.flatMap(([, service]) => Object.keys(service.depends_on ?? {}));
    expect(others.filter((other) => file.services[other] === undefined)).toEqual([]);
  });

  it('waits for the health only of what tells it, and never for what another profile has', () => {
    for (const [, { depends_on: others = {}, profiles = [] }] of services) {
      for (const [other, { condition }] of Object.entries(others)) {
        const { healthcheck, image, profiles: theirs = [] } = file.services[other]!; // the test above says so
        expect(condition).toBe('service_healthy');
        expect(healthcheck !== undefined || image === IMAGE).toBe(true); // the image has a check
        expect(theirs.every((profile) => profiles.includes(profile))).toBe(true);
      }
    }
  });

  it('opens ports to this machine alone, unless BIND_ADDRESS says otherwise', () => {
    const ports = services.flatMap(([, service]) => service.ports ?? []);
    expect(ports).toEqual(['127.0.0.1:3000:3000', '127.0.0.1:8080:8080']);
    const open = readComposeFile(PATH, { API_KEYS: KEY, BIND_ADDRESS: '0.0.0.0', PORT: '4000' });
    expect(open.services['chat']?.ports).toEqual(['0.0.0.0:4000:3000']);
  });
});

describe('the instances', () => {
  it('are one, and with the profile "scale" three that differ in nothing else', () => {
    expect(instances.map(([name, { profiles = [] }]) => [name, ...profiles])).toEqual([
      ['chat'],
      ['chat-2', 'scale'],
      ['chat-3', 'scale'],
    ]);
    const [first, ...others] = instances.map(([, service]) => {
      const { profiles: _profiles, ports: _ports, build: _build, pull_policy: _policy, ...rest } = service;
      return rest;
    });
    for (const other of others) expect(other).toEqual(first);
  });

  it('have one image, which the first builds and none loads from elsewhere', () => {
    // Built by each of them, at the same time, the second to be done would find the name taken.
    expect(instances.map(([, { build, pull_policy }]) => [build, pull_policy])).toEqual([
      ['.', 'build'],
      [undefined, 'never'],
      [undefined, 'never'],
    ]);
  });

  it.each(instances)('%s may do no more than it must, and has the time that a stop takes', (_name, service) => {
    expect(service).toMatchObject({
      read_only: true,
      tmpfs: ['/tmp'],
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
    });
    expect(Number(/^(\d+)s$/.exec(service.stop_grace_period ?? '')?.[1])).toBeGreaterThan(LONGEST_STOP_SECONDS);
  });

  it('get every setting that is not the business of the image or of this file, and nothing that is none', () => {
    const OWN: readonly SettingName[] = ['HOST', 'PORT', 'NODE_ENV', 'DATA_DIR', 'ALLOW_ANONYMOUS'];
    const OF_NODE = ['NODE_OPTIONS'];
    const passed = Object.keys(file.services['chat']?.environment ?? {});
    expect(passed.filter((name) => !isSettingName(name))).toEqual(OF_NODE);
    expect(SETTING_NAMES.filter((name) => !passed.includes(name))).toEqual(OWN);
  });

  it('start with these settings: many instances, behind nginx alone, with keys', () => {
    const config = parseConfig(variablesOf(file.services['chat']!)); // the first test says that it is there
    expect(config).toMatchObject({
      host: '0.0.0.0',
      port: 3000,
      nodeEnv: 'production',
      redisUrl: 'redis://redis:6379',
      ollamaBaseUrls: ['http://ollama:11434'],
      trustProxy: [Object(nginx.networks)['front'].ipv4_address],
    });
    expect(config.apiKeys).toHaveLength(1);
  });

  it('ask for API_KEYS in one line, with a command that makes one which works', async () => {
    const problem = ((): string => {
      try {
        readComposeFile(PATH, {});
      } catch (error) {
        return error instanceof Error ? error.message : '';
      }
      return '';
    })();
    expect(problem).toMatch(/^[^\n]*API_KEYS[^\n]*$/);
    const [, command = ''] = /docker run --rm \S+ (node .*)$/.exec(problem) ?? [];
    const key = (await runLine(command, '.')).trim();
    expect(parseConfig({ API_KEYS: key }).apiKeys).toHaveLength(1);
  });
});

describe('what stands around them', () => {
  it('is nginx, which names each instance, and has the only address that is trusted', () => {
    const text = readFileSync(new URL('deploy/nginx.conf', ROOT), 'utf8');
    const servers = [...text.matchAll(/^ {2}server ([\w-]+):(\d+);$/gm)].map(([, name, port]) => `${name}:${port}`);
    expect(servers).toEqual(instances.map(([name]) => `${name}:${inImage['PORT']}`));
    const [, port] = /listen (\d+);/.exec(text) ?? [];
    expect(nginx.ports?.[0]?.endsWith(`:${port}`)).toBe(true);

    const { subnet = '', ip_range: others = '' } = file.networks['front']?.ipam?.config[0] ?? {};
    const address = Object(nginx.networks)['front'].ipv4_address;
    expect(isWithin(address, subnet)).toBe(true);
    expect(isWithin(address, others)).toBe(false); // nobody else is given it
  });

  it('is nginx, which does what examples/nginx.conf does', () => {
    const [own, example] = ['deploy/nginx.conf', 'examples/nginx.conf'].map((name) =>
      readFileSync(new URL(name, ROOT), 'utf8')
        .replace(/^[\s\S]*?(?=^upstream)/m, '')
        .replaceAll(/^ {2}server .*\n/gm, '')
        .replace(/listen \d+/, 'listen'),
    );
    expect(own).toBe(example);
  });

  it('is a Redis that nobody else reaches', () => {
    const reaching = services.filter(([, service]) => networksOf(service).includes('store')).map(([name]) => name);
    expect(reaching).toEqual(['chat', 'chat-2', 'chat-3', 'redis']);
    expect(file.networks['store']?.internal).toBe(true);
    expect(networksOf(file.services['redis']!)).toEqual(['store']);
    expect(file.services['redis']?.volumes).toEqual(['redis:/data']);
  });

  it.skipIf(!hasRedisServer)('is a Redis that loses nothing and throws nothing away', async () => {
    const [program, ...flags] = file.services['redis']?.command ?? [];
    expect(program).toBe('redis-server');
    await using redis = await startRedisServer(...flags);
    const { store } = await openRedisStore({
      url: redis.url,
      clock: systemClock,
      ids: systemIds,
      retention: DEFAULT_RETENTION,
    });
    try {
      expect(await store.findRisks()).toEqual([]);
    } finally {
      await store[Symbol.asyncDispose]();
    }
  });

  it('is an Ollama that gets the model of the settings once it answers, and holds up nobody', () => {
    const asked = readComposeFile(PATH, { API_KEYS: KEY, LLM_MODEL: 'qwen3:4b' });
    expect(asked.services['ollama-pull']?.command).toEqual(['pull', 'qwen3:4b']);
    expect(asked.services['chat']?.environment).toMatchObject({ LLM_MODEL: 'qwen3:4b' });
    expect(Object.keys(file.services['ollama-pull']?.depends_on ?? {})).toEqual(['ollama']);
    expect(Object.keys(file.services['chat']?.depends_on ?? {})).toEqual(['redis']);
  });

  it('is an Ollama with a slot for each that the service takes, unless it is told otherwise', () => {
    const slots = (variables: Readonly<Record<string, string>>) =>
      readComposeFile(PATH, { API_KEYS: KEY, ...variables }).services['ollama']?.environment?.['OLLAMA_NUM_PARALLEL'];
    expect(slots({})).toBe(String(parseConfig({}).concurrency));
    expect(slots({ LLM_CONCURRENCY: '4' })).toBe('4');
    expect(slots({ LLM_CONCURRENCY: '4', OLLAMA_NUM_PARALLEL: '12' })).toBe('12');
  });
});

const isWithin = (address: string, range: string): boolean => {
  const [network = '', prefix = ''] = range.split('/');
  const list = new BlockList();
  list.addSubnet(network, Number(prefix));
  return list.check(address);
};

describe('the check of the image', () => {
  it('asks whether the process lives, not whether it is ready', () => {
    const image = readDockerfile(new URL('Dockerfile', ROOT)).at(-1)!; // it has stages
    expect(last(image, 'HEALTHCHECK').text).toContain('/health/live');
  });
});
