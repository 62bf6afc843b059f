/** The value below which this share of the numbers lies; NaN where there are none. */
export const percentile = (sorted: ArrayLike<number>, share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;

export const median = (numbers: readonly number[]): number => {
  const sorted = numbers.toSorted((one, other) => one - other);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? percentile(sorted, 0.5) : (at(sorted, middle - 1) + at(sorted, middle)) / 2;
};

const at = (numbers: readonly number[], index: number): number => numbers[index] ?? Number.NaN;

export interface Spread {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** How times are spread. At most this many are kept, of more an even sample, so that measuring costs little. */
const MAX_SAMPLES = 400_000;

export class Samples {
  readonly #values = new Float64Array(MAX_SAMPLES);
  #count = 0;
  #max = 0;

  add(value: number): void {
    const index = this.#count < MAX_SAMPLES ? this.#count : Math.floor(Math.random() * (this.#count + 1));
    if (index < MAX_SAMPLES) this.#values[index] = value;
    if (value > this.#max) this.#max = value;
    this.#count += 1;
  }

  spread(): Spread {
    const sorted = this.#values.subarray(0, Math.min(this.#count, MAX_SAMPLES)).toSorted();
    return { count: this.#count, p50: percentile(sorted, 0.5), p99: percentile(sorted, 0.99), max: this.#max };
  }
}
