import { describe, expect, it } from 'vitest';
import { createDoor } from '../../src/auth/door.ts';
import { ForbiddenError } from '../../src/errors.ts';
import type { DoorOptions } from '../../src/auth/door.ts';

const open = (options: Partial<DoorOptions> = {}) =>
  createDoor({ host: '127.0.0.1', allowedOrigins: undefined, hasKeys: false, ...options });

describe('the Host header, listening on loopback', () => {
  it.each([
    ['localhost'],
    ['localhost:3000'],
    ['LOCALHOST:3000'],
    ['127.0.0.1'],
    ['127.8.9.10:80'],
    ['[::1]:3000'],
    ['[0:0:0:0:0:0:0:1]:3000'],
    ['chat.localhost:3000'],
  ])('lets in %s', (host) => {
    expect(() => open().checkHost(host)).not.toThrow();
  });

  it.each([
    [undefined],
    [''],
    ['evil.example'],
    ['evil.example:3000'],
    ['localhost.evil.example'],
    ['evil-localhost'],
    ['127.0.0.1.evil.example:3000'],
    ['192.168.1.2:3000'],
    ['0.0.0.0:3000'],
    ['[::2]'],
    ['localhost@evil.example'],
    ['localhost/evil'],
    ['localhost, evil.example'],
    ['localhost:99999'],
    ['localhost:'],
  ])('refuses %s', (host) => {
    expect(() => open().checkHost(host)).toThrow(ForbiddenError);
  });

  it.each(['localhost', '::1', '127.0.0.2'])('is checked when HOST is %s', (host) => {
    expect(() => open({ host }).checkHost('evil.example')).toThrow(ForbiddenError);
  });

  it('may be any behind a proxy that is trusted, where a key is needed besides', () => {
    const host = '127.0.0.1';
    expect(() => open({ host, hasKeys: true, isBehindProxy: true }).checkHost('chat.example.com')).not.toThrow();
    expect(() => open({ host, hasKeys: false, isBehindProxy: true }).checkHost('chat.example.com')).toThrow(
      ForbiddenError,
    );
    expect(() => open({ host, hasKeys: true }).checkHost('chat.example.com')).toThrow(ForbiddenError);
  });

  it.each(['0.0.0.0', '::', '192.168.1.2', 'chat.example.com'])('may be any when HOST is %s', (host) => {
    expect(() => open({ host }).checkHost('chat.example.com')).not.toThrow();
  });
});

const LISTED = ['https://chat.example.com', 'http://10.0.0.9:8080', 'app://console'];

/** Each row: the origin, let in by default (pages of this machine), let in by the list above. */
const MATRIX: readonly (readonly [origin: string | undefined, byDefault: boolean, byList: boolean])[] = [
  [undefined, true, true], // not a browser
  ['', false, false],
  ['null', false, false],
  // exact
  ['https://chat.example.com', false, true],
  ['https://chat.example.com:443', false, true],
  ['HTTPS://Chat.Example.COM', false, true],
  ['http://10.0.0.9:8080', false, true],
  ['app://console', false, true],
  // this machine
  ['http://localhost', true, false],
  ['http://localhost:5173', true, false],
  ['https://LOCALHOST:8443', true, false],
  ['http://127.0.0.1:3000', true, false],
  ['http://127.1.2.3', true, false],
  ['http://[::1]:3000', true, false],
  ['http://app.localhost:3000', true, false],
  // another scheme, port or name
  ['http://chat.example.com', false, false],
  ['https://chat.example.com:8443', false, false],
  ['https://example.com', false, false],
  ['https://other.chat.example.com', false, false],
  ['app://localhost', false, false],
  ['file://localhost', false, false],
  ['file://', false, false],
  ['ws://localhost:3000', false, false],
  ['javascript:alert(1)', false, false],
  // look-alikes
  ['https://chat.example.com.evil.example', false, false],
  ['https://evil-chat.example.com', false, false],
  ['https://chat.example.co', false, false],
  ['https://chat-example.com', false, false],
  ['http://localhost.evil.example', false, false],
  ['http://evil-localhost', false, false],
  ['http://evillocalhost', false, false],
  ['http://127.0.0.1.evil.example', false, false],
  ['http://[::1].evil.example', false, false],
  ['http://128.0.0.1', false, false],
  // tricks
  ['https://chat.example.com@evil.example', false, false],
  ['http://localhost@evil.example', false, false],
  ['http://localhost:3000@evil.example', false, false],
  ['http://user@localhost', false, false],
  ['http://localhost/', false, false],
  ['http://localhost:3000/path', false, false],
  ['http://localhost#evil.example', false, false],
  ['http://localhost\\evil.example', false, false],
  ['http://localhost%2eevil.example', false, false],
  ['http://localhost:3000 http://evil.example', false, false],
  ['http://localhost,http://evil.example', false, false],
  ['http://localhost\n', false, false],
  ['//localhost', false, false],
  ['localhost', false, false],
  ['http://', false, false],
  ['*', false, false],
];

describe('the Origin of a request', () => {
  const hostHeader = '192.0.2.7:3000'; // an address, so that only the rules under test decide

  it.each(MATRIX)('%j: by default %s, by the list %s', (origin, byDefault, byList) => {
    expect(open().allowsOrigin(origin, hostHeader)).toBe(byDefault);
    expect(open({ allowedOrigins: LISTED }).allowsOrigin(origin, hostHeader)).toBe(byList);
  });

  it('is refused with a sentence that does not repeat it', () => {
    const door = open();
    const check = () => door.checkOrigin('http://evil.example', hostHeader);
    expect(check).toThrow(ForbiddenError);
    expect(check).toThrow(/ALLOWED_ORIGINS/);
    expect(check).not.toThrow(/evil/);
    expect(() => open().checkOrigin('http://localhost', hostHeader)).not.toThrow();
  });

  it('closes the door to every page with an empty list', () => {
    expect(open({ allowedOrigins: [] }).allowsOrigin('http://localhost:5173', hostHeader)).toBe(false);
  });
});

describe("the service's own origin", () => {
  const list = { allowedOrigins: LISTED };

  it.each([
    ['http://localhost:3000', 'localhost:3000'],
    ['http://127.0.0.1:3000', '127.0.0.1:3000'],
    ['http://192.168.1.2:3000', '192.168.1.2:3000'],
    ['http://[fd00::2]:3000', '[FD00::2]:3000'],
    ['http://192.168.1.2', '192.168.1.2'],
    ['http://192.168.1.2', '192.168.1.2:80'],
    ['https://192.168.1.2', '192.168.1.2'],
  ])('%s is let in where it cannot be faked, at Host %s', (origin, host) => {
    expect(open(list).allowsOrigin(origin, host)).toBe(true);
  });

  it.each([
    ['http://chat.lan:3000', 'chat.lan:3000'],
    ['https://Chat.lan', 'chat.lan:443'],
  ])('%s, a name that may be rebound, needs keys, at Host %s', (origin, host) => {
    expect(open({ ...list, host: '0.0.0.0' }).allowsOrigin(origin, host)).toBe(false);
    expect(open({ ...list, host: '0.0.0.0', hasKeys: true }).allowsOrigin(origin, host)).toBe(true);
  });

  it.each([
    ['http://192.168.1.2:3000', '192.168.1.2:3001'],
    ['http://192.168.1.2:3000', '192.168.1.20:3000'],
    ['https://192.168.1.2', '192.168.1.2:80'],
    ['http://192.168.1.2:3000', undefined],
    ['http://192.168.1.2:3000', 'x@192.168.1.2:3000'],
    ['app://192.168.1.2:3000', '192.168.1.2:3000'],
    ['null', 'null'],
  ])('is not %s at Host %s', (origin, host) => {
    expect(open({ ...list, hasKeys: true }).allowsOrigin(origin, host)).toBe(false);
  });
});
