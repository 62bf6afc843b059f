import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TokenCalibration } from '../../src/conversation/token-calibration.ts';
import { estimateMessageTokens, estimateTextTokens } from '../../src/conversation/tokens.ts';

const MODEL = 'tiny';

describe('TokenCalibration', () => {
  it('believes its first count at once', () => {
    const calibration = new TokenCalibration();
    expect(calibration.correction(MODEL)).toBe(1);
    calibration.learn(MODEL, 100, 150);
    expect(calibration.correction(MODEL)).toBe(1.5);
    expect(calibration.correction('another')).toBe(1);
  });

  it('comes close to a model whose tokens are bytes, and stays there', () => {
    const calibration = new TokenCalibration();
    for (let turn = 1; turn <= 10; turn++) {
      const text = 'The kettle boils. '.repeat(turn);
      calibration.learn(MODEL, estimateMessageTokens({ content: text }), text.length + 6);
    }
    const text = 'Another text of about the same kind. '.repeat(8);
    const corrected = estimateMessageTokens({ content: text }) * calibration.correction(MODEL);
    expect(Math.abs(corrected / (text.length + 6) - 1)).toBeLessThan(0.05);
  });

  it('is not moved by prompts that are mostly template', () => {
    const calibration = new TokenCalibration();
    calibration.learn(MODEL, 5, 40);
    calibration.learn(MODEL, 40, 5);
    expect(calibration.correction(MODEL)).toBe(1);
  });

  it('corrects a prompt that was refused at least to the window, and further', () => {
    const calibration = new TokenCalibration();
    calibration.learnOverflow(MODEL, 500, 1_000);
    expect(calibration.correction(MODEL)).toBeCloseTo(2.4);
    calibration.learnOverflow(MODEL, 500, 1_000);
    expect(calibration.correction(MODEL)).toBeCloseTo(2.88);
    calibration.learn(MODEL, 500, 900);
    expect(calibration.correction(MODEL)).toBeLessThan(2.88);
  });

  it('stays within its bounds, whatever it is told', () => {
    const counts = fc.nat(1_000_000);
    const lessons = fc.array(fc.tuple(fc.boolean(), counts, counts));
    fc.assert(
      fc.property(lessons, (given) => {
        const calibration = new TokenCalibration();
        for (const [isOverflow, estimated, told] of given) {
          if (isOverflow) calibration.learnOverflow(MODEL, estimated, told);
          else calibration.learn(MODEL, estimated, told);
          expect(calibration.correction(MODEL)).toBeGreaterThanOrEqual(0.25);
          expect(calibration.correction(MODEL)).toBeLessThanOrEqual(8);
        }
      }),
    );
  });
});

describe('an estimate', () => {
  it('counts text, the template around a message, and images', () => {
    expect(estimateTextTokens('')).toBe(0);
    expect(estimateTextTokens('x'.repeat(31))).toBe(10);
    expect(estimateMessageTokens({ content: 'x'.repeat(31) })).toBe(14);
    expect(estimateMessageTokens({ content: '', images: ['aGk=', 'aGk='] })).toBe(4 + 2 * 768);
  });
});
