import sjson from 'secure-json-parse';
import { InvalidRequestError } from '../errors.ts';

/** Deep enough for any JSON Schema that people write; far from what would exhaust a stack. */
const MAX_DEPTH = 64;

/**
 * JSON as either wire takes it. Keys that would reach an object's prototype are refused.
 * `what` names the text in the sentence that says what is wrong with it.
 * @throws InvalidRequestError
 */
export const parseJsonText = (text: string, what: string): unknown => {
  const value = parse(text, what);
  if (isDeeperThan(value, MAX_DEPTH))
    throw new InvalidRequestError(`${what} is nested deeper than ${MAX_DEPTH} levels.`);
  return value;
};

const parse = (text: string, what: string): unknown => {
  try {
    return sjson.parse(text, undefined, { protoAction: 'error', constructorAction: 'error' });
  } catch (error) {
    throw new InvalidRequestError(`${what} is not valid JSON, or has a key that is not allowed (__proto__).`, {
      cause: error,
    });
  }
};

/** Level by level: a recursion would end where the stack does. */
const isDeeperThan = (value: unknown, depth: number): boolean => {
  let level = [value].filter(isContainer);
  for (let at = 0; at < depth && level.length > 0; at++) {
    level = level.flatMap((container) => Object.values(container).filter(isContainer));
  }
  return level.length > 0;
};

const isContainer = (value: unknown): value is object => typeof value === 'object' && value !== null;
