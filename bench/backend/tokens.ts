/**
 * The text of a token: a space and five digits to the base 36, which say when it was sent. Pieces of a reply hold
 * whole tokens only, so that their length tells how many they are.
 */
export const TOKEN_CHARACTERS = 6;

/** Microseconds: the time in a token starts anew then, which is longer than any token is on its way. */
const CYCLE_US = 36 ** 5;

/** Microseconds of the machine's monotonic clock, which all its processes share. */
const nowUs = (): number => {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e6 + nanoseconds / 1e3;
};

/** A token that is sent now; `characters` above six are filled up. */
export const createToken = (characters = TOKEN_CHARACTERS): string => toToken(Math.floor(nowUs()), characters);

/** A token of any number: those of a prepared reply differ, since no model says the same word for ever. */
export const toToken = (number: number, characters = TOKEN_CHARACTERS): string =>
  ` ${(number % CYCLE_US).toString(36).padStart(5, '0')}`.padEnd(characters, 'x');

/** Milliseconds since the token that begins at `index` was sent. */
export const readAgeMs = (text: string, index: number): number => {
  const sent = Number.parseInt(text.slice(index + 1, index + TOKEN_CHARACTERS), 36);
  return ((((nowUs() - sent) % CYCLE_US) + CYCLE_US) % CYCLE_US) / 1e3;
};
