import type { Case } from './case.ts';
import { fullSpeed } from './full-speed.ts';
import { idleSockets } from './idle-sockets.ts';
import { pacedStreams } from './paced-streams.ts';
import { shortReplies } from './short-replies.ts';
import { stuckClients } from './stuck-clients.ts';
import { thousandSockets } from './thousand-sockets.ts';
import { turns } from './turns.ts';
import { twoInstances } from './two-instances.ts';

export const CASES: readonly Case[] = [
  ...shortReplies,
  ...fullSpeed,
  ...pacedStreams,
  turns,
  idleSockets,
  twoInstances,
  thousandSockets,
  stuckClients,
];

/** The cases whose names begin with one of these; all of them where none is named. */
export const findCases = (names: readonly string[]): readonly Case[] => {
  const unknown = names.find((name) => !CASES.some((each) => each.name.startsWith(name)));
  if (unknown !== undefined) {
    throw new Error(`There is no case ${unknown}. There are: ${CASES.map(({ name }) => name).join(', ')}.`);
  }
  return names.length === 0 ? CASES : CASES.filter((each) => names.some((name) => each.name.startsWith(name)));
};
