import { asText, asTexts } from './answers.ts';
import type { RedisConnection } from './redis-connection.ts';

/** `ChatStore.findRisks`. Where Redis does not let us look, nothing is said. */
export const findRisks = async (connection: RedisConnection): Promise<readonly string[]> => {
  const reports = await askEach(connection, 'INFO', 'everything');
  const settings = await Promise.all(
    ['maxmemory-policy', 'appendfsync'].map((name) => askEach(connection, 'CONFIG', 'GET', name)),
  );
  const nodes = reports.map((report, index) => ({
    info: parseInfo(asText(report)),
    config: new Map(settings.flatMap((replies) => toPair(replies[index]))),
  }));
  return [...new Set(nodes.flatMap((node) => RISKS.flatMap((findRisk) => findRisk(node) ?? [])))];
};

interface NodeSetup {
  readonly info: ReadonlyMap<string, string>;
  readonly config: ReadonlyMap<string, string>;
}

type FindRisk = (node: NodeSetup) => string | undefined;

const findEviction: FindRisk = ({ info, config }) => {
  const policy = config.get('maxmemory-policy') ?? info.get('maxmemory_policy');
  return policy === undefined || policy === 'noeviction'
    ? undefined
    : `Redis may throw conversations away when its memory is full (maxmemory-policy ${policy}). Set maxmemory-policy noeviction.`;
};

const findMissingLog: FindRisk = ({ info }) =>
  info.get('aof_enabled') === '0'
    ? 'Redis loses conversations and replies when it is killed (appendonly no). Set appendonly yes and appendfsync always.'
    : undefined;

const findLateSync: FindRisk = ({ info, config }) => {
  const sync = config.get('appendfsync');
  return info.get('aof_enabled') !== '1' || sync === undefined || sync === 'always'
    ? undefined
    : `Redis may lose what was acknowledged when its machine fails (appendfsync ${sync}). Set appendfsync always.`;
};

const RISKS: readonly FindRisk[] = [findEviction, findMissingLog, findLateSync];

/** What each node says; empty where it is forbidden to ask. */
const askEach = async (
  connection: RedisConnection,
  ...command: readonly [string, ...string[]]
): Promise<readonly unknown[]> => {
  const [name, ...values] = command;
  return connection.askEach(name, ...values).catch(() => []);
};

/** `CONFIG GET` of one name: the name and its value. */
const toPair = (reply: unknown): readonly (readonly [string, string])[] => {
  if (reply === undefined) return [];
  const [name, value] = asTexts(reply);
  return name === undefined || value === undefined ? [] : [[name, value]];
};

/** The fields of an `INFO` report. */
export const parseInfo = (report: string): ReadonlyMap<string, string> =>
  new Map(
    report.split('\r\n').flatMap((line) => {
      const colon = line.indexOf(':');
      return colon > 0 ? [[line.slice(0, colon), line.slice(colon + 1)] as const] : [];
    }),
  );
