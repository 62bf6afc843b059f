import { describe, expect, it } from 'vitest';
import { BackendUnavailableError, ModelNotFoundError } from '../../src/errors.ts';
import { ModelPulls, type PullTarget } from '../../src/providers/ollama/model-pulls.ts';
import type { PullFigures } from '../../src/providers/ollama/pull-report.ts';
import type { PullOptions } from '../../src/providers/ollama/pull-model.ts';
import type { ModelLoading } from '../../src/providers/provider.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

/** The downloads of a service: shared, remembered when they fail, and told to the operator. */

interface Running extends PullOptions {
  readonly model: string;
  readonly end: () => void;
  readonly fail: (error: unknown) => void;
}

const open = () => {
  const clock = new VirtualClock();
  const started: Running[] = [];
  const lines: Record<string, unknown>[] = [];
  const figures: PullFigures[] = [];
  const target: PullTarget = {
    name: 'http://gpu-1:11434',
    pull(model, options) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      started.push({ ...options, model, end: resolve, fail: reject });
      return promise;
    },
  };
  const ran: string[] = [];
  const hosts = { isUp: true };
  const write = (fields: Readonly<Record<string, unknown>>, sentence: string): void =>
    void lines.push({ sentence, ...fields });
  const pulls = new ModelPulls({
    clock,
    log: { info: write, warn: write },
    onFigures: (each) => void figures.push(each),
    chooseTarget: () => (hosts.isUp ? target : undefined),
    runPull: (host, pull) => {
      ran.push(host);
      return pull();
    },
  });
  return { clock, started, lines, figures, ran, hosts, pulls };
};

/** Somebody who waits for a model. */
const follow = (pulls: ModelPulls, model = 'llama3') => {
  const told: ModelLoading[] = [];
  const leaving = new AbortController();
  const end = (async () => {
    for await (const status of pulls.follow(model, leaving.signal)) told.push(status);
  })().then(
    () => 'there' as const,
    (error: unknown) => error,
  );
  return { told, end, leave: (reason: unknown) => leaving.abort(reason) };
};

describe('a model that nobody has', () => {
  it('is downloaded once for all who wait for it, however they write its name', async () => {
    const { clock, started, pulls, ran } = open();
    const one = follow(pulls);
    const other = follow(pulls, 'LLAMA3:latest');
    await clock.settle();
    expect(started).toHaveLength(1);
    started[0]!.onProgress({ completedBytes: 1, totalBytes: 4 });
    await clock.settle();
    for (const { told } of [one, other]) {
      expect(told).toEqual([
        { state: 'model_loading', since: clock.elapsed() },
        { state: 'model_loading', since: clock.elapsed(), completedBytes: 1, totalBytes: 4 },
      ]);
    }
    started[0]!.end();
    expect(await Promise.all([one.end, other.end])).toEqual(['there', 'there']);
    expect(ran).toEqual(['http://gpu-1:11434']);
  });

  it('is told about once a second, with what is newest then', async () => {
    const { clock, started, pulls } = open();
    const { told, end } = follow(pulls);
    await clock.settle();
    for (let completedBytes = 1; completedBytes <= 50; completedBytes++) {
      started[0]!.onProgress({ completedBytes, totalBytes: 50 });
      await clock.advance(100);
    }
    expect(told.map(({ completedBytes }) => completedBytes)).toEqual([undefined, 1, 11, 21, 31, 41]);
    started[0]!.end();
    expect(await end).toBe('there');
  });

  it('is downloaded to the end when one who waited leaves, and when all do', async () => {
    const { clock, started, pulls, lines } = open();
    const one = follow(pulls);
    const other = follow(pulls);
    await clock.settle();
    const reason = new Error('cancelled');
    one.leave(reason);
    expect(await one.end).toBe(reason);
    other.leave(reason);
    expect(await other.end).toBe(reason);
    expect(started[0]!.signal.aborted).toBe(false);
    started[0]!.end();
    await clock.settle();
    expect(lines.at(-1)).toMatchObject({ sentence: 'a model was downloaded' });
  });

  it('is a failure for all who wait, and for a minute for who asks again', async () => {
    const { clock, started, pulls } = open();
    const waiting = [follow(pulls), follow(pulls)];
    await clock.settle();
    const error = new BackendUnavailableError('The disk is full.');
    started[0]!.fail(error);
    for (const { end } of waiting) expect(await end).toBe(error);
    await clock.advance(20_000);
    expect(await follow(pulls).end).toMatchObject({ message: error.message, retryAfterMs: 40_000 });
    expect(() => pulls.check('llama3:latest')).toThrow(error.message);
    expect(started).toHaveLength(1);
    expect(() => pulls.check('another')).not.toThrow();
    await clock.advance(40_000);
    expect(() => pulls.check('llama3')).not.toThrow();
    const again = follow(pulls);
    await clock.settle();
    expect(started).toHaveLength(2);
    started[1]!.end();
    expect(await again.end).toBe('there');
  });

  it('keeps the kind of its failure', async () => {
    const { clock, started, pulls } = open();
    const { end } = follow(pulls);
    await clock.settle();
    started[0]!.fail(new ModelNotFoundError('There is no such model.'));
    expect(await end).toBeInstanceOf(ModelNotFoundError);
    expect(await follow(pulls).end).toBeInstanceOf(ModelNotFoundError);
  });

  it('is no failure to be remembered while no host can be asked', async () => {
    const { clock, hosts, started, pulls } = open();
    hosts.isUp = false;
    expect(await follow(pulls).end).toMatchObject({ code: 'backend_unavailable' });
    hosts.isUp = true;
    void follow(pulls);
    await clock.settle();
    expect(started).toHaveLength(1);
  });

  it('is left where it is when the service stops', async () => {
    const { clock, started, pulls, lines } = open();
    const { end } = follow(pulls);
    await clock.settle();
    pulls[Symbol.dispose]();
    expect(await end).toMatchObject({ code: 'backend_unavailable' });
    expect(started[0]!.signal.aborted).toBe(true);
    expect(lines.map(({ sentence }) => sentence)).toEqual(['downloading a model']);
  });
});

describe('the log of a download', () => {
  it('has a line at the beginning, one for each 10 % or 10 s, whichever is later, and one at the end', async () => {
    const { clock, started, pulls, lines } = open();
    const { end } = follow(pulls);
    await clock.settle();
    const advance = async (completedBytes: number, ms: number): Promise<void> => {
      await clock.advance(ms);
      started[0]!.onProgress({ completedBytes, totalBytes: 200 });
    };
    await advance(30, 5_000); // 15 %, but too soon
    await advance(40, 5_000); // 20 % after 10 s
    await advance(50, 60_000); // late, but only 5 % more
    await advance(60, 1_000); // 30 %
    await advance(200, 1_000); // too soon
    started[0]!.end();
    await end;
    const model = 'llama3';
    const host = 'http://gpu-1:11434';
    expect(lines).toEqual([
      { sentence: 'downloading a model', model, host },
      { sentence: 'downloading', model, percent: 20, completedBytes: 40, totalBytes: 200 },
      { sentence: 'downloading', model, percent: 30, completedBytes: 60, totalBytes: 200 },
      { sentence: 'a model was downloaded', model, host, seconds: 72, totalBytes: 200 },
    ]);
  });

  it('says why it failed', async () => {
    const { clock, started, pulls, lines } = open();
    const { end } = follow(pulls);
    await clock.settle();
    const error = new BackendUnavailableError('The disk is full.');
    started[0]!.onProgress({ completedBytes: 1, totalBytes: 2 });
    started[0]!.fail(error);
    await end;
    expect(lines.at(-1)).toMatchObject({ sentence: 'a model could not be downloaded', err: error, completedBytes: 1 });
  });

  it('has the figures beside it for who draws them, up to the end', async () => {
    const { clock, started, pulls, figures } = open();
    const { end } = follow(pulls);
    await clock.advance(1000);
    started[0]!.onProgress({ completedBytes: 1, totalBytes: 2 });
    started[0]!.end();
    await end;
    expect(figures).toEqual([
      { model: 'llama3', isRunning: true, elapsedMs: 0 },
      { model: 'llama3', isRunning: true, elapsedMs: 1000, completedBytes: 1, totalBytes: 2 },
      { model: 'llama3', isRunning: false, elapsedMs: 1000, completedBytes: 1, totalBytes: 2 },
    ]);
  });
});
