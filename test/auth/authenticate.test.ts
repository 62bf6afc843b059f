import { execFileSync } from 'node:child_process';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { MAKE_KEY_COMMAND, parseApiKey } from '../../src/auth/api-key.ts';
import { createAuthenticator } from '../../src/auth/authenticate.ts';
import { UnauthorizedError } from '../../src/errors.ts';
import type { ApiKey } from '../../src/auth/api-key.ts';

const SECRET = 'a'.repeat(32);
const NEW_SECRET = 'b'.repeat(43);

const toKeys = (...texts: readonly string[]): readonly ApiKey[] => texts.flatMap((text) => parseApiKey(text) ?? []);

const refusal = (authenticate: () => unknown): Error => {
  try {
    authenticate();
  } catch (error) {
    if (error instanceof UnauthorizedError) return error;
  }
  throw new Error('not refused');
};

describe('the authenticator, with keys', () => {
  const authenticate = createAuthenticator({ keys: toKeys(`alice.${SECRET}`, `alice.${NEW_SECRET}`, `bob.${SECRET}`) });

  it.each([
    [`alice.${SECRET}`, 'alice'],
    [`alice.${NEW_SECRET}`, 'alice'],
    [`bob.${SECRET}`, 'bob'],
  ])('knows a key by its id: %s', (credentials, owner) => {
    expect(authenticate(credentials)).toEqual({ owner });
  });

  it.each([
    ['another secret', `bob.${NEW_SECRET}`],
    ['an unknown id', `carol.${SECRET}`],
    ['an id of another case', `Bob.${SECRET}`],
    ['a longer secret', `bob.${SECRET}a`],
    ['no id', `.${SECRET}`],
    ['no dot', SECRET],
    ['no secret', 'bob.'],
    ['nothing', ''],
    ['the name of a built-in property', `__proto__.${SECRET}`],
  ])('refuses %s, with one sentence for all', (_, credentials) => {
    const { message } = refusal(() => authenticate(credentials));
    expect(message).toBe(refusal(() => authenticate(`nobody.${'x'.repeat(40)}`)).message);
    expect(message).not.toContain(SECRET);
  });

  it('says how to send a key when none came', () => {
    const { message } = refusal(() => authenticate(undefined));
    expect(message).toContain('needs an API key');
    expect(message).toContain('Authorization: Bearer <key>');
    expect(message).toContain('bearer.<key>');
  });
});

describe('the authenticator, without keys', () => {
  it.each([undefined, `alice.${SECRET}`, 'nonsense'])('takes everybody as anonymous: %s', (credentials) => {
    expect(createAuthenticator({ keys: [] })(credentials)).toEqual({ owner: 'anonymous' });
  });
});

describe('an API key', () => {
  it.each([
    ['no id', `.${SECRET}`],
    ['a short secret', `alice.${SECRET.slice(1)}`],
    ['a long id', `${'i'.repeat(65)}.${SECRET}`],
    ['a second dot', `alice.${SECRET}.x`],
    ['another character', `alice.${SECRET}+`],
    ['a line break', `alice.${SECRET}\n`],
  ])('does not have %s', (_, text) => {
    expect(parseApiKey(text)).toBeUndefined();
  });

  it('shows its owner, never its secret nor the digest of it', () => {
    const key = parseApiKey(`alice.${SECRET}`);
    expect(inspect(key, { showHidden: true, depth: 9 })).toBe("ApiKey { owner: 'alice' }");
    expect(JSON.stringify(key)).toBe('{"owner":"alice"}');
  });

  it('is made by the command that we tell people', () => {
    const script = /^node -p "(.*)"$/.exec(MAKE_KEY_COMMAND)?.[1] ?? '';
    const printed = execFileSync(process.execPath, ['-p', script], { encoding: 'utf8' }).trim();
    expect(parseApiKey(printed)?.owner).toBe('alice');
  });
});
