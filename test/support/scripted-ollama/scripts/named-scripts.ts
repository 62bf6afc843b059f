import { brokenStreams } from './broken-streams.ts';
import { delays } from './delays.ts';
import type { ScriptMakers } from './maker.ts';
import { oddLines } from './odd-lines.ts';
import { refusals } from './refusals.ts';
import { replies } from './replies.ts';
import { toolCalls } from './tool-calls.ts';

/** Every script that `next('name:argument')` and the marker `[[name:argument]]` can play. */
export const namedScripts: ScriptMakers = {
  ...replies,
  ...toolCalls,
  ...delays,
  ...refusals,
  ...brokenStreams,
  ...oddLines,
};
