import { describe, expect, it } from 'vitest';
import { BackendError, InternalError, toLLMError } from '../../src/errors.ts';
import { createLog } from '../../src/telemetry/log.ts';
import type { Log } from '../../src/telemetry/log.ts';

const SAID = 'what somebody said';

/** Writes with `write` and gives what came out, as text and as objects. */
const record = (write: (log: Log) => void, { pretty = false, level = 'trace' } = {}) => {
  const lines: string[] = [];
  write(createLog({ level, pretty, destination: { write: (line) => void lines.push(line) } }));
  return { text: lines.join(''), parsed: () => lines.map((line): unknown => JSON.parse(line)) };
};

const failWith = (cause: unknown, sentence = 'The host answered with what it must not answer.') =>
  new BackendError(sentence, { cause });

describe('an error in the log', () => {
  it('shows code and message of our own errors', () => {
    const { parsed } = record((log) => log.error({ err: failWith(undefined) }, 'reply failed'));
    expect(parsed()).toMatchObject([
      {
        msg: 'reply failed',
        err: {
          type: 'BackendError',
          code: 'backend_error',
          message: 'The host answered with what it must not answer.',
        },
      },
    ]);
  });

  it('shows name, code and frames of a foreign error, without its message', () => {
    const error = Object.assign(new TypeError(SAID), { code: 'ECONNRESET', prompt: SAID });
    const { text, parsed } = record((log) => log.error({ err: error }, 'call failed'));
    expect(parsed()).toMatchObject([{ err: { type: 'TypeError', code: 'ECONNRESET' } }]);
    expect(text).toContain('log.test.ts');
    expect(text).not.toContain(SAID);
  });

  it('takes nothing of a message of many lines for a frame', () => {
    const error = new Error(`first\n    at ${SAID} (/home/x.ts:1:2)\n    at /${SAID}:3:4`);
    const { text } = record((log) => log.error({ err: error }, 'call failed'));
    expect(text).not.toContain(SAID);
    expect(text).toContain('log.test.ts');
  });

  it('shows no frames where the message was changed afterwards', () => {
    const error = new Error(`x\n    at y (/${SAID.replaceAll(' ', '-')}:1:2)`);
    error.message = 'another';
    const { text } = record((log) => log.error({ err: error }, 'call failed'));
    expect(text).not.toContain('somebody');
  });

  it('shows causes and the parts of an aggregate in the same way', () => {
    const cause = new AggregateError([new Error(SAID), failWith(SAID)], SAID, { cause: SAID });
    const { text, parsed } = record((log) => log.error({ err: failWith(cause) }, 'reply failed'));
    const logged = {
      type: 'AggregateError',
      cause: { type: 'string' },
      errors: [{ type: 'Error' }, { code: 'backend_error' }],
    };
    expect(parsed()).toMatchObject([{ err: { cause: logged } }]);
    expect(text).not.toContain(SAID);
  });

  it('ends where causes go round in a circle', () => {
    const error = new Error('a');
    error.cause = error;
    expect(record((log) => log.error({ err: error }, 'call failed')).parsed()).toHaveLength(1);
  });

  it.each([
    ['a name', Object.assign(new Error('x'), { name: SAID })],
    ['a code', Object.assign(new Error('x'), { code: SAID })],
    ['a thrown text', SAID],
    ['a thrown object', { message: SAID, stack: SAID }],
  ])('does not trust %s', (_, error) => {
    expect(record((log) => log.error({ err: error }, 'call failed')).text).not.toContain(SAID);
  });

  it.each<[string, (log: Log, error: Error) => void]>([
    ['alone', (log, error) => log.error(error)],
    ['as a field', (log, error) => log.error({ err: error })],
    ['with its own message as the sentence', (log, error) => log.error({ err: error }, error.message)],
    ['with its message inside the sentence', (log, error) => log.warn({ err: error }, `failed: ${error.message}`)],
    ['alone, of a child', (log, error) => log.child({ conversationId: 'c1' }).error(error)],
  ])('does not become the sentence: %s', (_, write) => {
    const { text, parsed } = record((log) => write(log, new Error(SAID)));
    expect(text).not.toContain(SAID);
    expect(parsed()).toMatchObject([{ msg: 'An error was caught.' }]);
  });

  it('of our own may be the sentence', () => {
    const { parsed } = record((log) => log.error(toLLMError(new Error(SAID))));
    expect(parsed()).toMatchObject([{ msg: new InternalError(toLLMError(0).message).message }]);
  });
});

describe('a request in the log', () => {
  it('shows its route, never its path, query, headers or body', () => {
    const request = {
      id: 'req-1',
      method: 'POST',
      url: `/conversations/${SAID}?key=${SAID}`,
      routeOptions: { url: '/conversations/:id' },
      ip: '127.0.0.1',
      headers: { authorization: SAID },
      body: { message: SAID },
    };
    const { text, parsed } = record((log) => log.info({ req: request, res: { statusCode: 200, body: SAID } }, 'done'));
    const req = { id: 'req-1', method: 'POST', route: '/conversations/:id', remoteAddress: '127.0.0.1' };
    expect(parsed()).toMatchObject([{ req, res: { statusCode: 200 } }]);
    expect(text).not.toContain(SAID);
  });
});

describe('the second line of defence', () => {
  it.each<[object]>([
    [{ message: SAID }],
    [{ content: SAID }],
    [{ data: { message: SAID } }],
    [{ frame: { data: { text: SAID, content: SAID } } }],
    [{ headers: { authorization: SAID, cookie: SAID, 'set-cookie': [SAID] } }],
    [{ raw: { headers: { authorization: SAID } } }],
    [{ body: { message: SAID, prompt: SAID, messages: [{ content: SAID }] } }],
  ])('blanks %j', (fields) => {
    const { text } = record((log) => log.info(fields, 'something came'));
    expect(text).not.toContain(SAID);
    expect(text).toContain('[redacted]');
  });

  it('holds for the fields of a child', () => {
    expect(record((log) => log.child({ content: SAID }).info('begun')).text).not.toContain(SAID);
  });
});

describe('the lines of the log', () => {
  it('are JSON with the time in RFC 3339', () => {
    const { parsed } = record((log) => log.info({ conversationId: 'c1' }, 'reply begun'));
    expect(parsed()).toMatchObject([
      { level: 30, time: expect.stringMatching(/^\d{4}-.*Z$/), conversationId: 'c1', msg: 'reply begun' },
    ]);
  });

  it('are written at once for people too, with nothing more in them', () => {
    const { text } = record((log) => log.warn({ err: new Error(SAID), retry: 2 }, 'provider failed'), { pretty: true });
    expect(text).toContain('WARN: provider failed');
    expect(text).toContain('retry: 2');
    expect(text).not.toContain(SAID);
  });

  it('below the level are left out', () => {
    expect(record((log) => log.info('quiet'), { level: 'warn' }).text).toBe('');
    expect(record((log) => log.fatal('quiet'), { level: 'silent' }).text).toBe('');
  });
});
