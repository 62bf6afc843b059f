import { describe, expect, it } from 'vitest';
import { PromptRate } from '../../src/providers/ollama/prompt-rate.ts';

const line = (tokens: number, ms: number, cached?: number): Readonly<Record<string, unknown>> => ({
  prompt_eval_count: tokens,
  prompt_eval_duration: ms * 1_000_000,
  ...(cached === undefined ? {} : { prompt_eval_cached_count: cached }),
});

/** 310 characters: 100 tokens, by the estimate. */
const messages = [
  { role: 'system', content: 'x'.repeat(110) },
  { role: 'user', content: 'x'.repeat(200) },
] as const;

const restMs = (rate: PromptRate, elapsedMs = 0, model = 'm'): number => rate.restMs({ model, messages, elapsedMs });

describe('how long a host still reads a prompt', () => {
  it('is not known before it was measured, and of each model by itself', () => {
    const rate = new PromptRate();
    expect(restMs(rate)).toBe(0);
    rate.learn('m', line(100, 500));
    expect(restMs(rate, 0, 'other')).toBe(0);
  });

  it('is the estimated time of the whole prompt less what has passed, and never below zero', () => {
    const rate = new PromptRate();
    rate.learn('m', line(200, 1_000));
    expect(restMs(rate)).toBeCloseTo(500);
    expect(restMs(rate, 200)).toBeCloseTo(300);
    expect(restMs(rate, 2_000)).toBe(0);
  });

  it('counts the tokens that had to be read, not those that were known', () => {
    const rate = new PromptRate();
    rate.learn('m', line(1_000, 500, 900));
    expect(restMs(rate)).toBeCloseTo(500);
  });

  it('is measured by prompts of some length alone', () => {
    const rate = new PromptRate();
    rate.learn('m', line(31, 1_000));
    rate.learn('m', line(1_000, 1_000, 980));
    rate.learn('m', line(1_000, 0));
    rate.learn('m', { prompt_eval_count: 'many', prompt_eval_duration: null });
    expect(restMs(rate)).toBe(0);
    rate.learn('m', line(32, 320));
    expect(restMs(rate)).toBeCloseTo(1_000);
  });

  it('is a mean that moves', () => {
    const rate = new PromptRate();
    rate.learn('m', line(100, 1_000));
    rate.learn('m', line(100, 2_000));
    expect(restMs(rate)).toBeCloseTo(1_300);
    for (let answer = 0; answer < 50; answer++) rate.learn('m', line(100, 2_000));
    expect(restMs(rate)).toBeCloseTo(2_000, 0);
  });

  it('is a minute at most', () => {
    const rate = new PromptRate();
    rate.learn('m', line(100, 1_000_000));
    expect(restMs(rate)).toBe(60_000);
  });
});
