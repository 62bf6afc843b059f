const ESCAPED: Readonly<Record<string, string>> = {
  '<': '\\u003c',
  '>': '\\u003e',
  '&': '\\u0026',
  '\u2028': '\\u2028',
  '\u2029': '\\u2029',
};

const NS_PER_MS = 1_000_000n;
const CLOCK_OFFSET_NS = BigInt(Date.now()) * NS_PER_MS - process.hrtime.bigint();

/** JSON as Go's encoder writes it: these characters escaped, `undefined` fields left out, the order of keys kept. */
export const goJson = (value: unknown): string =>
  JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, (character) => ESCAPED[character] ?? character);

/** The time as Ollama writes it: UTC, up to nine decimals, trailing zeros cut. */
export function goTime(date?: Date): string {
  const time = date ? BigInt(date.getTime()) * NS_PER_MS : CLOCK_OFFSET_NS + process.hrtime.bigint();
  const nanoseconds = String(time % NS_PER_MS).padStart(6, '0');
  return `${new Date(Number(time / NS_PER_MS)).toISOString().slice(0, -1)}${nanoseconds}`.replace(/\.?0+$/, '') + 'Z';
}
