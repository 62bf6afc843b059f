import { describe, expect, it } from 'vitest';
import { LLMError } from '../../src/errors.ts';
import type { Part, Provider, ProviderRequest } from '../../src/providers/provider.ts';

export interface OpenProvider extends AsyncDisposable {
  readonly provider: Provider;
  /** A model that it has; its answer to `request` has more than five deltas. */
  readonly model: string;
  /** Resolves when the backend works for nobody. */
  readonly untilReleased: () => Promise<void>;
}

const toRequest = ({ model }: OpenProvider, maxTokens = 500): ProviderRequest => ({
  model,
  messages: [{ role: 'user', content: 'hello' }],
  maxTokens,
  sampling: { temperature: 0 },
  think: false,
  contextWindow: 2048,
});

const neverAborted = (): AbortSignal => new AbortController().signal;

/** What every provider keeps to, whatever backend is behind it. */
export const describeProvider = (name: string, open: () => Promise<OpenProvider>): void => {
  describe(`Provider, ${name}`, () => {
    it('says deltas, then exactly one finish, which is last; no array is empty', async () => {
      await using opened = await open();
      const arrays = await gather(opened.provider.stream(toRequest(opened), neverAborted()));
      const said = arrays.flat().filter(({ type }) => type !== 'status');
      expect(arrays.every((parts) => parts.length > 0)).toBe(true);
      expect(said.slice(0, -1).every(({ type }) => type === 'text-delta')).toBe(true);
      expect(said.length).toBeGreaterThan(5);
      expect(said.at(-1)).toMatchObject({ type: 'finish', finishReason: 'stop' });
    });

    it('ends with length at the limit of tokens', async () => {
      await using opened = await open();
      const parts = (await gather(opened.provider.stream(toRequest(opened, 3), neverAborted()))).flat();
      expect(parts.filter(({ type }) => type === 'text-delta').length).toBeLessThanOrEqual(3);
      expect(parts.at(-1)).toMatchObject({ finishReason: 'length' });
    });

    it('ends soon when the signal aborts, with its reason, and lets the backend go', async () => {
      await using opened = await open();
      const controller = new AbortController();
      const reason = new Error('the user left');
      const reader = opened.provider.stream(toRequest(opened), controller.signal)[Symbol.asyncIterator]();
      await readToDelta(reader);
      controller.abort(reason);
      const begun = performance.now();
      await expect(drain(reader)).rejects.toBe(reason);
      expect(performance.now() - begun).toBeLessThan(1_000);
      await expect(opened.untilReleased()).resolves.toBeUndefined();
    });

    it('does nothing for a signal that has aborted', async () => {
      await using opened = await open();
      const stream = opened.provider.stream(toRequest(opened), AbortSignal.abort('gone'));
      await expect(drain(stream[Symbol.asyncIterator]())).rejects.toBe('gone');
      await expect(opened.untilReleased()).resolves.toBeUndefined();
    });

    it('lets the backend go when the reader leaves early', async () => {
      await using opened = await open();
      for await (const parts of opened.provider.stream(toRequest(opened), neverAborted())) {
        if (parts.some(({ type }) => type === 'text-delta')) break;
      }
      await expect(opened.untilReleased()).resolves.toBeUndefined();
    });

    it('finds its model by name, and lists it', async () => {
      await using opened = await open();
      const found = await opened.provider.findModel(opened.model);
      const listed = await opened.provider.listModels();
      expect(found).toMatchObject({ provider: opened.provider.name, contextWindow: expect.any(Number) });
      expect(listed.map((model) => model.name)).toContain(found.name);
      expect(await opened.provider.health()).toMatchObject({ status: 'up' });
    });

    it('fails with errors of ours: a model that is not there is model_not_found', async () => {
      await using opened = await open();
      const error = await opened.provider.findModel('no-such-model').catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(LLMError);
      expect(error).toMatchObject({ code: 'model_not_found' });
    });
  });
};

const gather = async (stream: AsyncIterable<readonly Part[]>): Promise<readonly (readonly Part[])[]> => {
  const arrays: (readonly Part[])[] = [];
  for await (const parts of stream) arrays.push(parts);
  return arrays;
};

const readToDelta = async (reader: AsyncIterator<readonly Part[]>): Promise<void> => {
  for (;;) {
    const { done, value } = await reader.next();
    if (done === true || value.some(({ type }) => type === 'text-delta')) return;
  }
};

const drain = async (reader: AsyncIterator<readonly Part[]>): Promise<void> => {
  while ((await reader.next()).done !== true);
};
