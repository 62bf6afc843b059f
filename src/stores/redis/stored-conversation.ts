import type { Conversation, ConversationPatch, NewConversation, PositionRange, Summary } from '../chat-store.ts';
import { fromStoredText } from '../stored-text.ts';
import { asList, asNumber, asText, asTexts } from './answers.ts';

/** A conversation as the scripts give it: its hash, the number of its messages, and the reply that runs. */
export const toConversation = (reply: unknown): Conversation => {
  const [fields, messageCount, running] = asList(reply);
  const field = toFields(asTexts(fields));
  const activeReply = asText(running);
  return {
    owner: fromStoredText(field.get('owner') ?? ''),
    conversationId: fromStoredText(field.get('id') ?? ''),
    ...toSettings(field),
    createdAt: Number(field.get('created')),
    updatedAt: Number(field.get('updated')),
    messageCount: asNumber(messageCount),
    ...(activeReply !== '' && { activeReply }),
    cut: { position: Number(field.get('cut')), droppedTurns: Number(field.get('cutTurns')) },
    replaced: toReplaced(field.get('replaced') ?? ''),
    summaries: toSummaries(field.get('summaries') ?? ''),
    version: Number(field.get('version')),
  };
};

/** As the scripts read them. */
export const fromReplaced = (ranges: readonly PositionRange[]): string =>
  ranges.map(({ first, last }) => `${first}-${last}`).join(' ');

const toReplaced = (stored: string): readonly PositionRange[] =>
  [...stored.matchAll(/(\d+)-(\d+)/g)].map(([, first, last]) => ({ first: Number(first), last: Number(last) }));

/** A line each: the position, and the whole as JSON. */
const toSummaries = (stored: string): readonly Summary[] =>
  stored.split('\n').flatMap((line) => (line === '' ? [] : JSON.parse(line.slice(line.indexOf(' ') + 1))));

const SETTINGS = ['title', 'systemPrompt', 'metadata', 'model', 'answeredBy'] as const;

type Settings = Pick<Conversation, (typeof SETTINGS)[number]>;

/** Settings as fields and their values; '' takes a field away. */
export const toSettingFields = (settings: ConversationPatch | NewConversation): readonly string[] =>
  SETTINGS.flatMap((name) => {
    const value: unknown = Reflect.get(settings, name);
    if (value === undefined) return [];
    return [name, value === null ? '' : JSON.stringify(value)];
  });

/** The values are JSON already: together they are an object. */
const toSettings = (field: ReadonlyMap<string, string>): Settings => {
  const members = SETTINGS.flatMap((name) => (field.has(name) ? [`"${name}":${field.get(name)}`] : []));
  return JSON.parse(`{${members.join(',')}}`);
};

const toFields = (flat: readonly string[]): ReadonlyMap<string, string> => {
  const fields = new Map<string, string>();
  for (let index = 0; index < flat.length; index += 2) fields.set(flat[index] ?? '', flat[index + 1] ?? '');
  return fields;
};
