import type { ReplyState } from '../../conversation/reply-event.ts';

// What a script gives back has no type to tell. These say what is expected of it, and stop what is anything else.

export const asList = (answer: unknown): readonly unknown[] => {
  if (Array.isArray(answer)) return answer;
  throw new TypeError('A script of Redis has not answered with a list.');
};

export const asText = (answer: unknown): string => {
  if (typeof answer === 'string') return answer;
  throw new TypeError('A script of Redis has not answered with a text.');
};

export const asTexts = (answer: unknown): readonly string[] => asList(answer).map(asText);

export const asNumber = (answer: unknown): number => {
  const number = Number(answer);
  if (Number.isFinite(number)) return number;
  throw new TypeError('A script of Redis has not answered with a number.');
};

const STATES: readonly ReplyState[] = ['running', 'done', 'failed', 'cancelled'];

export const asState = (answer: unknown): ReplyState => {
  const state = STATES.find((known) => known === answer);
  if (state) return state;
  throw new TypeError('A script of Redis has not answered with the state of a reply.');
};
