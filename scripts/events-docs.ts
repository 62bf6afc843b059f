import { EVENT_SUMMARIES } from '../src/protocol/asyncapi.ts';
import { clientEvents } from '../src/protocol/client-events.ts';

/** The socket's events as README.md shows them: who sends each, and what for. */
export const toEventsTable = (): string =>
  ['| Event | From | |', '| --- | --- | --- |', ...Object.entries(EVENT_SUMMARIES).map(toRow)].join('\n');

const toRow = ([name, summary]: readonly [string, string]): string =>
  `| \`${name}\` | ${Object.hasOwn(clientEvents, name) ? 'client' : 'service'} | ${summary} |`;
