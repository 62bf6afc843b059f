import { isIP } from 'node:net';
import { z } from 'zod';
import { originText, parseAuthority, parseOrigin } from './auth/authority.ts';
import { parseApiKey } from './auth/api-key.ts';
import type { ApiKey } from './auth/api-key.ts';

/**
 * How the text of one setting becomes its value. An issue's message is the end of a sentence that begins with
 * the setting's name: "must be …, not …". Times come in seconds and leave in milliseconds.
 */

const MS_PER_SECOND = 1000;
const DAY_SECONDS = 86_400;
const SECONDS_PER: ReadonlyMap<string, number> = new Map([
  ['s', 1],
  ['m', 60],
  ['h', 3600],
  ['d', DAY_SECONDS],
]);

/** Says what is wrong; it may be called more than once, and what was read is then not used. */
type Refuse = (problem: string) => void;

const value = <Value>(read: (text: string, refuse: Refuse) => Value) =>
  z.string().transform((text, context) => read(text, (message) => context.addIssue({ code: 'custom', message })));

/** A value quoted in a problem, unless it may hold a password (`user:password@`, a query) or is as long as a key. */
const quote = (text: string): string =>
  /[@?#]|[A-Za-z0-9_-]{32}/.test(text) ? 'its present value (hidden, as it may hold a secret)' : JSON.stringify(text);

const list = (text: string): readonly string[] => [
  ...new Set(
    text
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== ''),
  ),
];

const matching = (pattern: RegExp, expected: string) =>
  value((text, refuse) => {
    if (!pattern.test(text)) refuse(`must be ${expected}, not ${quote(text)}`);
    return text;
  });

export const oneOf = <const Name extends string>(names: readonly Name[]) =>
  value((text, refuse) => {
    const name = names.find((candidate) => candidate === text);
    if (name === undefined) refuse(`must be ${names.slice(0, -1).join(', ')} or ${names.at(-1)}, not ${quote(text)}`);
    return name ?? names[0]!; // not used when refused; no call has an empty list
  });

export const yesOrNo = oneOf(['true', 'false']).transform((text) => text === 'true');

interface Range {
  readonly least: number;
  readonly most: number;
}

/** A whole number. */
export const count = ({ least, most }: Range) =>
  value((text, refuse) => {
    const number = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
    if (!(number >= least && number <= most))
      refuse(`must be a whole number from ${least} to ${most}, not ${quote(text)}`);
    return number;
  });

/** Seconds, fractions allowed → milliseconds. */
export const seconds = ({ least, most }: Range) =>
  value((text, refuse) => {
    const number = /^\d{1,9}(\.\d+)?$/.test(text) ? Number(text) : NaN;
    if (!(number >= least && number <= most))
      refuse(`must be a number of seconds from ${least} to ${most}, not ${quote(text)}`);
    return Math.round(number * MS_PER_SECOND);
  });

/** `30d`, `12h`, `90m`, `45s`, or seconds → milliseconds. */
export const span = ({ least, most }: Range) =>
  value((text, refuse) => {
    const { number, unit = 's' } = /^(?<number>\d{1,9}(\.\d+)?) ?(?<unit>[smhd])?$/.exec(text)?.groups ?? {};
    const total = Number(number) * (SECONDS_PER.get(unit) ?? NaN);
    if (!(total >= least && total <= most))
      refuse(
        `must be a time such as 30d, 12h, 90m or 45s, from ${least} s to ${most / DAY_SECONDS} d, not ${quote(text)}`,
      );
    return Math.round(total * MS_PER_SECOND);
  });

/** An address, or a name that the machine itself resolves. */
export const host = value((text, refuse) => {
  const isName = /[a-z]/i.test(text) && !/[:[]/.test(text) && parseAuthority(text, 'http') !== undefined;
  if (!isName && isIP(text) === 0)
    refuse(`must be an IP address or a host name without a port, such as 127.0.0.1 or ::1, not ${quote(text)}`);
  return text;
});

/** A model's name as Ollama takes it: `[host/][namespace/]model[:tag]`. */
export const modelName = matching(
  /^[A-Za-z0-9][\w.:/-]{0,199}$/,
  'the name of one model as "ollama list" shows it, such as llama3 or qwen3:4b',
);

export const modelNames = value((text, refuse) => {
  for (const name of list(text))
    for (const issue of modelName.safeParse(name).error?.issues ?? []) refuse(issue.message);
  return list(text);
});

export const systemPrompt = ({ most }: Pick<Range, 'most'>) =>
  value((text, refuse) => {
    if (text.length > most) refuse(`must have at most ${most} characters, not ${text.length}`);
    return text;
  });

export const folder = matching(/^[^\0]{1,1000}$/, 'the path of a folder, such as ./data');

const MOST_HOSTS = 32;

/** The bases of the Ollama API, separated by commas, each without a slash at its end. */
export const ollamaUrls = value((text, refuse) => {
  const items = text.split(',').map((item) => item.trim());
  const given = items.filter((item) => item !== '' || items.length === 1); // a comma at the end names no host
  if (given.length === 0) refuse('has commas but no URL, such as http://localhost:11434');
  if (given.length > MOST_HOSTS) refuse(`must name at most ${MOST_HOSTS} hosts, not ${given.length}`);
  const urls = given.map((item) => readOllamaUrl(item, refuse));
  const addresses = urls.map(withoutCredentials);
  const twice = addresses.find((address, index) => addresses.indexOf(address) !== index);
  if (twice !== undefined) refuse(`must name each host once; it has ${quote(twice)} more than once`);
  return urls;
});

/** Who asks does not make it another host. */
const withoutCredentials = (text: string): string => {
  const url = URL.parse(text);
  return url === null ? text : `${url.origin}${url.pathname}`;
};

const readOllamaUrl = (text: string, refuse: Refuse): string => {
  const url = URL.parse(text);
  if (url === null || !/^https?:\/\//i.test(text))
    refuse(`must be a URL that begins with http:// or https://, such as http://localhost:11434, not ${quote(text)}`);
  else if (/[?#]/.test(text)) refuse('must be a URL without a query ("?") and a fragment ("#")');
  else if (!isDecodable(`${url.username}${url.password}`))
    refuse('must write a % in a name or a password as %25, and other special characters so, too');
  return url?.href.replace(/\/+$/, '') ?? text;
};

const isDecodable = (text: string): boolean => {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
};

const REDIS_SCHEME = /^(?:rediss?(?:-cluster)?|unix):$/;

/** One URL, or the nodes of a Cluster. It may hold a password, so what is wrong is told without the text. */
export const redisUrl = value((text, refuse) => {
  for (const each of text.split(',')) {
    const url = URL.parse(each.trim());
    if (url === null || !REDIS_SCHEME.test(url.protocol) || (url.hostname === '') !== (url.protocol === 'unix:'))
      refuse(
        'must be a URL that begins with redis://, rediss:// (TLS), redis-cluster:// or unix:///, such as redis://localhost:6379',
      );
  }
  return text;
});

const LONGEST_DURATION_TEXT = 20; // with six digits a number: less than the 292 years that Go can count
const GO_DURATION = /^[+-]?(?:(?:\d{1,6}(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+$/;

/**
 * How long a model stays loaded: a number of seconds or a Go duration (Ollama's docs/api.md). Ollama refuses
 * a bare number in a string, so digits become a JSON number; -1 keeps the model for ever.
 */
export const keepAlive = value((text, refuse): string | number => {
  if (/^(-1|\d{1,9})$/.test(text)) return Number(text);
  if (text.length > LONGEST_DURATION_TEXT || !GO_DURATION.test(text))
    refuse(
      `must be a Go duration such as 30m or 1h30m, a whole number of seconds, or -1 (for ever), not ${quote(text)}`,
    );
  return text;
});

export const think = oneOf(['true', 'false', 'low', 'medium', 'high', 'max']).transform((text) =>
  text === 'true' || text === 'false' ? text === 'true' : text,
);

/** `id.secret`, comma-separated. Problems count the keys instead of showing them. */
export const apiKeys = value((text, refuse) => {
  const items = list(text);
  if (items.length === 0 && text !== '') refuse('has commas but no key; remove it where nobody needs one'); // open by mistake
  return items.flatMap((item, index): ApiKey[] => {
    const key = parseApiKey(item);
    if (key !== undefined) return [key];
    refuse(
      `has a key, number ${index + 1} (not shown), that is not <id>.<secret>: an id of 1 to 64 and a secret of at least 32 of the characters A-Z a-z 0-9 - _`,
    );
    return [];
  });
});

/** Exact origins, comma-separated, in the one spelling that browsers send. */
export const origins = value((text, refuse) =>
  list(text).flatMap((item) => {
    const origin = parseOrigin(item);
    if (origin !== undefined) return [originText(origin)];
    refuse(originProblem(item));
    return [];
  }),
);

const originProblem = (item: string): string => {
  if (item === '*')
    return 'must not be "*": any web page could then use the service; list the origins of your own pages';
  if (item === 'null')
    return 'must not be "null": any sandboxed page has that origin; list the origins of your own pages';
  const withoutPath = parseOrigin(item.replace(/^([^/]+:\/\/[^/?#@]+).*$/s, '$1'));
  const hint = withoutPath && !item.includes('@') ? `; did you mean ${originText(withoutPath)}` : '';
  return `must be origins, scheme://host[:port] without a path, such as https://chat.example.com, not ${quote(item)}${hint}`;
};

/** Addresses and CIDR ranges of proxies, comma-separated. */
export const proxies = value((text, refuse) => {
  for (const item of list(text)) {
    const problem = proxyProblem(item);
    if (problem !== undefined) refuse(problem);
  }
  return list(text);
});

const EXAMPLE_PROXIES = 'list the addresses of your own proxies, such as 10.0.0.7 or 10.0.0.0/8';

const proxyProblem = (item: string): string | undefined => {
  const [address = '', prefix, ...rest] = item.split('/');
  const family = isIP(address);
  const bits = family === 6 ? 128 : 32;
  if (item === 'true' || (family !== 0 && prefix !== undefined && /^0+$/.test(prefix)))
    return `must not trust everybody: a caller could then write any address of its own; ${EXAMPLE_PROXIES}`;
  if (/^\d+$/.test(item))
    return `must not be a number of hops: who skips a proxy could then forge its address; ${EXAMPLE_PROXIES}`;
  const isRange = prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= bits);
  return family !== 0 && isRange && rest.length === 0
    ? undefined
    : `must be IP addresses or CIDR ranges, not ${quote(item)}; ${EXAMPLE_PROXIES}`;
};
