import { describe, expect, it } from 'vitest';
import { FrameReader, TEXT, toClientFrame } from '../../bench/load/frame-reader.ts';
import { createToken, readAgeMs, TOKEN_CHARACTERS } from '../../bench/backend/tokens.ts';
import { parseProfile, toGroups, toOwners, toTop } from '../../bench/measure/cpu-profile.ts';
import { median, Samples } from '../../bench/measure/statistics.ts';
import { findCases } from '../../bench/cases/all.ts';
import { toMarkdown } from '../../bench/report/markdown.ts';
import { toPicture } from '../../bench/report/picture.ts';
import type { Report } from '../../bench/report/result.ts';

describe('the frames of a server', () => {
  /** As a server sends them: not masked. */
  const toFrame = (text: string): Buffer => {
    const head = Buffer.from(
      text.length < 126 ? [0x81, text.length] : [0x81, 126, text.length >> 8, text.length & 0xff],
    );
    return Buffer.concat([head, Buffer.from(text)]);
  };

  it('are found wherever the bytes are cut', () => {
    const texts = ['short', 'x'.repeat(300), ''];
    const bytes = Buffer.concat(texts.map(toFrame));
    for (let cut = 1; cut < bytes.length; cut++) {
      const found: string[] = [];
      const reader = new FrameReader((opcode, payload) => found.push(`${opcode} ${payload.toString()}`));
      reader.read(bytes.subarray(0, cut));
      reader.read(bytes.subarray(cut));
      expect(found).toEqual(texts.map((text) => `${TEXT} ${text}`));
    }
  });

  it('of a client are masked', () => {
    expect(toClientFrame(TEXT, Buffer.from('hi'))).toEqual(Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69]));
    expect(toClientFrame(TEXT, Buffer.alloc(300)).subarray(0, 4)).toEqual(Buffer.from([0x81, 0xfe, 1, 44]));
  });
});

describe('a token', () => {
  it('tells how long ago it was sent', () => {
    const text = createToken() + createToken();
    expect(text).toHaveLength(2 * TOKEN_CHARACTERS);
    for (const index of [0, TOKEN_CHARACTERS]) {
      expect(readAgeMs(text, index)).toBeGreaterThanOrEqual(0);
      expect(readAgeMs(text, index)).toBeLessThan(10_000);
    }
  });
});

describe('statistics', () => {
  it('know the middle of an even number, too', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 3, 2])).toBe(2.5);
  });

  it('tell how times are spread', () => {
    const samples = new Samples();
    for (let value = 1; value <= 200; value++) samples.add(value);
    expect(samples.spread()).toEqual({ count: 200, p50: 101, p99: 199, max: 200 });
  });
});

describe('a CPU profile', () => {
  const frame = (functionName: string, url: string) => ({ functionName, url, lineNumber: 9 });
  const text = JSON.stringify({
    startTime: 1000,
    nodes: [
      { id: 1, callFrame: frame('(root)', ''), children: [2, 4, 5] },
      { id: 2, callFrame: frame('read', 'file:///home/me/src/providers/ollama/line-reader.ts'), children: [3] },
      { id: 3, callFrame: frame('request', 'file:///home/me/node_modules/undici/lib/client.js') },
      { id: 4, callFrame: frame('(idle)', '') },
      { id: 5, callFrame: frame('(garbage collector)', '') },
    ],
    samples: [2, 3, 4, 5, 3],
    timeDeltas: [10, 20, 40, 80, 160],
  });
  const costs = parseProfile(text, { from: 1000, to: 1200 });

  it('counts what ran within the time, and not what rested', () => {
    expect(toTop(costs)).toEqual([
      { name: '(garbage collector)  ', us: 80 },
      { name: 'request  undici/lib/client.js:10', us: 20 },
      { name: 'read  src/providers/ollama/line-reader.ts:10', us: 10 },
    ]);
  });

  it('adds up by part, and by the function of ours for which it was', () => {
    expect(toGroups(costs).map(({ name }) => name)).toEqual(['garbage collector', 'undici', 'src/providers/ollama']);
    expect(toOwners(costs)[1]).toEqual({ name: 'read  src/providers/ollama/line-reader.ts:10', us: 30 });
  });
});

describe('cases', () => {
  it('are found by how their names begin', () => {
    expect(findCases(['short-replies']).map(({ name }) => name)).toEqual(['short-replies-1', 'short-replies-32']);
    expect(() => findCases(['nonsense'])).toThrow('There is no case nonsense. There are: short-replies-1,');
  });
});

describe('a report', () => {
  const target = { about: 'CPU <of> a request', wanted: 3, unit: '×' };
  const report: Report = {
    date: '2026-01-02T03:04:05.678Z',
    isQuick: false,
    machine: { cpu: 'Abacus', cores: 2, isPinned: true, node: '24.0.0', redis: '7.0.0', system: 'linux' },
    cases: [
      {
        name: 'requests',
        title: 'Requests',
        columns: [{ key: 'cpu', label: 'CPU, µs', digits: 1 }],
        rows: [
          { subject: 'relay', figures: { cpu: 1000 }, limit: 'its core' },
          { subject: 'service, Redis', figures: { cpu: Number.NaN }, limit: 'the pace' },
        ],
        targets: [
          { ...target, bound: '≤', measured: 2.5 },
          { ...target, bound: '≥', measured: 2.5 },
        ],
      },
    ],
    failed: ['turns'],
  };

  it('is a table of targets, and one of each case', () => {
    const markdown = toMarkdown(report, 'picture.svg');
    expect(markdown).toContain('| CPU <of> a request | ≤ 3 × | 2.50 × | reached |');
    expect(markdown).toContain('| CPU <of> a request | ≥ 3 × | 2.50 × | **missed** |');
    expect(markdown).toContain('| relay | 1,000.0 | its core |');
    expect(markdown).toContain('| service, Redis | – | the pace |');
    expect(markdown).toContain('![What the service costs](picture.svg)');
    expect(markdown).toContain('Failed, so without figures: turns.');
  });

  it('is a picture without a number that is none', () => {
    const picture = toPicture(report);
    expect(picture).toContain('CPU &lt;of&gt; a request');
    expect(picture).toContain('class="reached"');
    expect(picture).toContain('class="missed"');
    expect(picture).not.toContain('NaN');
  });
});
