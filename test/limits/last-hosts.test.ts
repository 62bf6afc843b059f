import { describe, expect, it } from 'vitest';
import { LastHosts } from '../../src/limits/last-hosts.ts';

describe('LastHosts', () => {
  it('remembers the last host of ten thousand conversations, those that were used last', () => {
    const hosts = new LastHosts();
    hosts.set('used again', 'a');
    hosts.set('used once', 'a');
    for (let count = 0; count < 9_998; count++) hosts.set(`c${count}`, 'a');
    hosts.set('used again', 'b');
    hosts.set('one more', 'a');
    expect(hosts.get('used once')).toBeUndefined();
    expect(hosts.get('used again')).toBe('b');
    expect(hosts.get('one more')).toBe('a');
  });
});
