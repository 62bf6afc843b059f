import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

/** A service of a compose file, as far as these tests look. */
export interface Service {
  readonly image: string;
  readonly build?: string;
  readonly pull_policy?: string;
  readonly profiles?: readonly string[];
  readonly user?: string;
  readonly read_only?: boolean;
  readonly tmpfs?: readonly string[];
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly stop_grace_period?: string;
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string | null>>;
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly networks: readonly string[] | Readonly<Record<string, { readonly ipv4_address?: string }>>;
}

interface Network {
  readonly internal?: boolean;
  readonly ipam?: { readonly config: readonly { readonly subnet: string; readonly ip_range: string }[] };
}

/** A compose file, as far as these tests look. */
export interface ComposeFile {
  readonly services: Readonly<Record<string, Service>>;
  readonly networks: Readonly<Record<string, Network>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

/** The file with these variables in the place of their names. */
export const readComposeFile = (path: URL, variables: Readonly<Record<string, string>>): ComposeFile =>
  mapTexts(parse(readFileSync(path, 'utf8'), { merge: true }), (text) => interpolate(text, variables)) as ComposeFile; // held against the schema

const mapTexts = (value: unknown, change: (text: string) => string): unknown => {
  if (typeof value === 'string') return change(value);
  if (Array.isArray(value)) return value.map((item) => mapTexts(item, change));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, mapTexts(item, change)]));
};

const INNERMOST = /\$\{(?<name>\w+)(?:(?<operator>:-|:\?)(?<rest>[^${}]*))?\}/;

/**
 * As the compose specification has it (its chapter "Interpolation"), for `${A}`, `${A:-default}` and `${A:?message}`.
 * @throws Error with the message of a variable that has to be there
 */
const interpolate = (text: string, variables: Readonly<Record<string, string>>): string => {
  const found = INNERMOST.exec(text);
  if (!found) return text;
  const { name = '', operator, rest = '' } = found.groups ?? {};
  const value = variables[name] ?? '';
  if (value === '' && operator === ':?') throw new Error(rest);
  return interpolate(
    text.replace(found[0], () => (value === '' && operator === ':-' ? rest : value)),
    variables,
  );
};
