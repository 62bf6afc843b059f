import { destination as standardOutput, pino, stdTimeFunctions } from 'pino';
import { isColorSupported, prettyFactory } from 'pino-pretty';
import { LLMError } from '../errors.ts';
import { toLoggedError, toLoggedRequest, toLoggedResponse } from './log-fields.ts';
import type { DestinationStream, Logger, LoggerOptions } from 'pino';

export type Log = Logger;

export interface LogOptions {
  readonly level: string;
  /** For people at a terminal; otherwise one JSON object a line. */
  readonly pretty: boolean;
  /** Where the lines go; standard output when absent. */
  readonly destination?: DestinationStream;
  /** Whether a pretty line has colours; standard output has by default. */
  readonly colors?: boolean;
}

/** What stands for an error's own text where nobody gave a sentence. */
const FOREIGN_ERROR = 'An error was caught.';

/**
 * The log: a fixed sentence and fields, never what people said nor a key. `err`, `req` and `res` show what
 * `log-fields.ts` names; names that usually hold text or secrets are blanked as a second line.
 */
export const createLog = ({
  level,
  pretty: isPretty,
  destination,
  colors = destination === undefined,
}: LogOptions): Log => {
  const options: LoggerOptions = {
    level,
    timestamp: stdTimeFunctions.isoTime,
    serializers: { err: toLoggedError, req: toLoggedRequest, res: toLoggedResponse },
    redact: { paths: REDACTED_PATHS, censor: '[redacted]' },
    hooks: {
      logMethod(line, write) {
        if (bringsForeignText(line)) write.call(this, line[0], FOREIGN_ERROR);
        else write.apply(this, line);
      },
    },
  };
  const out = destination ?? standardOutput({ sync: true });
  return pino(options, isPretty ? prettyStream(out, colors) : out);
};

// In this process and at once: a worker thread, or a pipe of streams, would lose the last lines of a crash.
const prettyStream = (out: DestinationStream, hasColors: boolean): DestinationStream => {
  const prettify = prettyFactory({
    colorize: hasColors && isColorSupported,
    ignore: 'pid,hostname',
    translateTime: 'SYS:HH:MM:ss.l',
  });
  return { write: (line) => out.write(prettify(line)) };
};

/**
 * pino takes the error's text where no sentence was given, and Fastify hands it over as one: a foreign error's
 * text must not get into the log either way.
 */
const bringsForeignText = ([first, sentence]: readonly unknown[]): boolean => {
  const error = first instanceof Error ? first : errorOf(first);
  if (error === undefined || error instanceof LLMError) return false;
  return sentence === undefined || repeats(sentence, error);
};

const errorOf = (fields: unknown): unknown =>
  typeof fields === 'object' && fields !== null && 'err' in fields ? fields.err : undefined;

const repeats = (sentence: unknown, error: unknown): boolean =>
  error instanceof Error && error.message !== '' && String(sentence).includes(error.message);

const SECRETS = ['authorization', 'Authorization', 'cookie', 'apiKey', 'credentials', 'password', 'secret', 'token'];
const SPOKEN = [
  'content',
  'text',
  'prompt',
  'systemPrompt',
  'system_prompt',
  'response',
  'userInput',
  'user_input',
  'messages',
];
/** `message` only where it is not an error's own. */
const SPOKEN_MESSAGES = ['message', 'body.message', 'data.message', 'data.data.message', 'request.message'];

const REDACTED_PATHS = [
  ...[...SECRETS, ...SPOKEN].flatMap((name) => [name, `*.${name}`, `*.*.${name}`]),
  '["set-cookie"]',
  '*["set-cookie"]',
  '*.*["set-cookie"]',
  ...SPOKEN_MESSAGES,
];
