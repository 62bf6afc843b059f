import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

/**
 * The architecture, as tables. A part is a folder of src/, or a file that stands beside them. Each part imports only
 * what its row names, and every row only names what stands below it: so read from top to bottom.
 */
const PARTS: Readonly<Record<string, readonly string[]>> = {
  // what the package offers: a program, and a library
  'bin.ts': ['main.ts'],
  'library.ts': ['service.ts', 'chat', 'config', 'errors.ts'],
  // the process
  'main.ts': ['app.ts', 'command-line.ts', 'welcome.ts', 'config', 'telemetry', 'errors.ts'],
  'command-line.ts': ['config'],
  'welcome.ts': [],
  // the composition: with wires, and without
  'app.ts': [
    'service.ts',
    'transport',
    'chat',
    'config',
    'auth',
    'telemetry',
    'deadlines.ts',
    'system.ts',
    'errors.ts',
  ],
  'service.ts': [
    'chat',
    'replies',
    'limits',
    'providers',
    'stores',
    'conversation',
    'config',
    'telemetry',
    'deadlines.ts',
    'system.ts',
    'clock.ts',
  ],
  // a message on its way down
  transport: ['protocol', 'chat', 'replies', 'stores', 'auth', 'conversation', 'deadlines.ts', 'clock.ts', 'errors.ts'],
  protocol: ['errors.ts'],
  chat: ['replies', 'limits', 'providers', 'stores', 'conversation', 'clock.ts', 'errors.ts'],
  replies: ['providers', 'stores', 'conversation', 'deadlines.ts', 'clock.ts', 'errors.ts'],
  providers: ['limits', 'conversation', 'deadlines.ts', 'clock.ts', 'errors.ts'],
  limits: ['stores', 'clock.ts', 'errors.ts'],
  stores: ['conversation', 'clock.ts', 'errors.ts'],
  // what stands beside it
  config: ['auth', 'conversation'],
  auth: ['conversation', 'errors.ts'],
  conversation: ['errors.ts'],
  telemetry: ['errors.ts'],
  'deadlines.ts': ['clock.ts'],
  // `openChatService` works without Fastify: so the real clock is in a file of its own, which both compositions take
  'system.ts': ['clock.ts'],
  'clock.ts': [],
  'errors.ts': [],
};

/** Where a package, or a module of Node that is more than a helper, may be imported: the file's path begins so. */
const HOMES: Readonly<Record<string, readonly string[]>> = {
  ollama: ['providers/ollama/'],
  undici: ['providers/ollama/'],
  '@cfworker/json-schema': ['providers/answer-schema.ts'],
  'node:sqlite': ['stores/sqlite/'],
  ioredis: ['stores/redis/'],
  bottleneck: ['limits/'],
  fastify: ['app.ts', 'transport/'],
  '@fastify/cors': ['app.ts'],
  '@fastify/helmet': ['app.ts'],
  '@fastify/swagger': ['transport/http/'],
  '@fastify/swagger-ui': ['transport/http/'],
  '@fastify/websocket': ['transport/socket/'],
  'fastify-type-provider-zod': ['transport/http/'],
  'secure-json-parse': ['transport/'],
  yaml: ['transport/http/'],
  zod: ['protocol/', 'transport/', 'config-'],
  pino: ['telemetry/'],
  'pino-pretty': ['telemetry/'],
  'prom-client': ['telemetry/'],
};

/** Implementations: who else but they themselves names one. Everybody else knows the interface at the folder's top. */
const IMPLEMENTATIONS: Readonly<Record<string, readonly string[]>> = {
  'providers/ollama/': ['service.ts'],
  'providers/eliza.ts': ['service.ts'],
  'providers/with-retry.ts': ['service.ts'],
  'stores/sqlite/': ['service.ts'],
  'stores/redis/': ['service.ts'],
  'transport/http/': ['app.ts'],
  'transport/socket/': ['app.ts'],
};

/** What is handed in everywhere, and who may take it from the machine. */
const MACHINE = ['system.ts', 'main.ts'];
const HANDED_IN: Readonly<Record<string, RegExp>> = {
  'the time': /\bDate\.now\b|\bnew Date\(\s*\)|\bperformance\.|\bhrtime\b|\bTemporal\.Now\b/,
  timers: /\bset(?:Timeout|Interval|Immediate)\b|\bnode:timers\b|\bAbortSignal\.timeout\b/,
  randomness: /\bMath\.random\b|\brandom(?:UUID|Bytes|Int|FillSync)\b|\bgetRandomValues\b/,
};

/** What belongs to the process alone. */
const OF_THE_PROCESS: Readonly<Record<string, readonly string[]>> = {
  'process.env': ['config.ts', 'main.ts'],
  'process.exit': ['main.ts'],
  'process.on': ['main.ts'],
  'process.stdout': ['main.ts'],
  'process.stderr': ['main.ts', 'bin.ts'],
};

const LONGEST_FILE = 300;

const SOURCE = fileURLToPath(new URL('../src', import.meta.url));

interface SourceFile {
  /** Below src/. */
  readonly path: string;
  readonly text: string;
  /** Without comments and quoted texts. */
  readonly code: string;
  /** As they are written: packages, or paths relative to the file. */
  readonly specifiers: readonly string[];
}

// Imports begin a line, as the formatter writes them; `import(` may stand anywhere.
const IMPORT = /^(?:import|export)\b[^'";]*?\bfrom\s+'([^']+)'|^import\s+'([^']+)'|\bimport\(\s*'([^']+)'/gm;
const COMMENT_OR_TEXT = /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"/g;

const readSource = (path: string): SourceFile => {
  const text = readFileSync(join(SOURCE, path), 'utf8');
  const code = text.replaceAll(COMMENT_OR_TEXT, (found) => (found.startsWith('/') ? '' : "''"));
  const specifiers = [...text.matchAll(IMPORT)].map((match) => match[1] ?? match[2] ?? match[3] ?? '');
  return { path, text, code, specifiers };
};

const files = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => readSource(path.replaceAll('\\', '/')));

/** The part that a file is of: its folder at the top, or itself; the settings are four files and one part. */
const partOf = (path: string): string => {
  if (path.includes('/')) return path.slice(0, path.indexOf('/'));
  return /^config(?:-\w+)?\.ts$/.test(path) ? 'config' : path;
};

/** Of each file of ours that is imported, its path below src/. */
const importedFiles = ({ path, specifiers }: SourceFile): readonly string[] =>
  specifiers
    .filter((specifier) => specifier.startsWith('.'))
    .map((specifier) => relative(SOURCE, join(SOURCE, dirname(path), specifier)).replaceAll('\\', '/'));

/** `@scope/name/file` and `name/file` are of `@scope/name` and `name`. */
const importedPackages = ({ specifiers }: SourceFile): readonly string[] =>
  specifiers
    .filter((specifier) => !specifier.startsWith('.'))
    .map((specifier) => /^(?:@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? specifier);

const edges = files.flatMap((file) => importedFiles(file).map((imported) => ({ from: file.path, to: imported })));

const startsWithAny = (path: string, beginnings: readonly string[]): boolean =>
  beginnings.some((beginning) => path.startsWith(beginning));

const filesWith = (pattern: RegExp, allowed: readonly string[]): readonly string[] =>
  files.filter(({ path, code }) => pattern.test(code) && !allowed.includes(path)).map(({ path }) => path);

describe('the parts', () => {
  it('are those of the table', () => {
    expect([...new Set(files.map(({ path }) => partOf(path)))].toSorted()).toEqual(Object.keys(PARTS).toSorted());
  });

  it.each(Object.entries(PARTS))('%s imports no other than %j', (part, mayImport) => {
    const imported = edges
      .filter(({ from, to }) => partOf(from) === part && partOf(to) !== part)
      .filter(({ to }) => !mayImport.includes(partOf(to)));
    expect(imported).toEqual([]);
  });

  it('have no permission that nobody uses', () => {
    const used = new Set(edges.map(({ from, to }) => `${partOf(from)} → ${partOf(to)}`));
    const unused = Object.entries(PARTS).flatMap(([part, mayImport]) =>
      mayImport.map((other) => `${part} → ${other}`).filter((edge) => !used.has(edge)),
    );
    expect(unused).toEqual([]);
  });

  it('import only what stands below them', () => {
    const order = Object.keys(PARTS);
    const upwards = Object.entries(PARTS).flatMap(([part, mayImport]) =>
      mayImport.filter((other) => order.indexOf(other) <= order.indexOf(part)).map((other) => `${part} → ${other}`),
    );
    expect(upwards).toEqual([]);
  });
});

describe('files', () => {
  it('do not import each other in a circle', () => {
    expect(findCircle()).toBeUndefined();
  });

  it.each(Object.entries(IMPLEMENTATIONS))('of %s are named by %j alone', (implementation, mayName) => {
    const named = edges.filter(
      ({ from, to }) =>
        to.startsWith(implementation) && !from.startsWith(implementation) && !startsWithAny(from, mayName),
    );
    expect(named).toEqual([]);
  });

  it(`have at most ${LONGEST_FILE} lines`, () => {
    const long = files
      .map(({ path, text }) => ({ path, lines: text.split('\n').length - 1 }))
      .filter(({ lines }) => lines > LONGEST_FILE);
    expect(long).toEqual([]);
  });

  it('have names in kebab-case, and none is index.ts', () => {
    const odd = files.filter(
      ({ path }) => !/^(?:[a-z0-9]+(?:-[a-z0-9]+)*\/?)+\.ts$/.test(path) || path.endsWith('index.ts'),
    );
    expect(odd.map(({ path }) => path)).toEqual([]);
  });

  it('export by name', () => {
    expect(filesWith(/\bexport\s+default\b|\bas\s+default\b/, [])).toEqual([]);
  });

  it('know no any', () => {
    expect(filesWith(/[:<|&,(=]\s*any\b(?!\s*[:(.])|\bas any\b|\bany\[\]/, [])).toEqual([]);
  });
});

describe('packages', () => {
  it('are those of the table, or helpers of Node', () => {
    const foreign = files.flatMap(importedPackages).filter((name) => !(name in HOMES) && !name.startsWith('node:'));
    expect([...new Set(foreign)]).toEqual([]);
  });

  it.each(Object.entries(HOMES))('%s is imported in %j alone', (name, homes) => {
    const users = files.filter((file) => importedPackages(file).includes(name)).map(({ path }) => path);
    expect(users.filter((path) => !startsWithAny(path, homes))).toEqual([]);
    expect(users, `${name} is not used any more`).not.toEqual([]);
  });

  it('of package.json are all used by src/', () => {
    const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
    const { dependencies } = manifest as { dependencies: Record<string, string> }; // npm's own file
    expect(Object.keys(dependencies).filter((name) => !(name in HOMES))).toEqual([]);
  });
});

describe('what is handed in', () => {
  it.each(Object.entries(HANDED_IN))(`%s: only ${MACHINE.join(' and ')} take it from the machine`, (_name, pattern) => {
    expect(filesWith(pattern, MACHINE)).toEqual([]);
  });

  it.each(Object.entries(OF_THE_PROCESS))('%s is used in %j alone', (name, mayUse) => {
    expect(filesWith(new RegExp(`\\b${name.replace('.', '\\.')}\\b`), mayUse)).toEqual([]);
  });
});

/** Files, each of which imports the next, and the last the first. */
const findCircle = (): readonly string[] | undefined => {
  const importsOf = Map.groupBy(edges, ({ from }) => from);
  const done = new Set<string>();
  const search = (path: string, way: readonly string[]): readonly string[] | undefined => {
    if (way.includes(path)) return [...way.slice(way.indexOf(path)), path];
    if (done.has(path)) return undefined;
    for (const { to } of importsOf.get(path) ?? []) {
      const circle = search(to, [...way, path]);
      if (circle) return circle;
    }
    done.add(path);
    return undefined;
  };
  for (const { path } of files) {
    const circle = search(path, []);
    if (circle) return circle;
  }
  return undefined;
};
