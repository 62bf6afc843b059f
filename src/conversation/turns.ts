import { estimateMessageTokens } from './tokens.ts';

/** What a message needs to have to be counted. */
export interface Countable {
  readonly role: 'user' | 'assistant';
  readonly content: string;
  readonly images?: readonly string[];
  readonly position: number;
}

/** A user message and all that answers it: never parted. */
export interface Turn<Message extends Countable> {
  readonly messages: readonly Message[];
  /** Of its last message. */
  readonly position: number;
  /** As estimated by characters. */
  readonly tokens: number;
}

/** What a history may have. */
export interface Bounds {
  readonly tokens: number;
  readonly turns: number;
}

/** A user message begins a turn; all that answers it belongs to it. */
export const toTurns = <Message extends Countable>(messages: readonly Message[]): readonly Turn<Message>[] => {
  const groups: [Message, ...Message[]][] = [];
  for (const message of messages) {
    const current = groups.at(-1);
    if (message.role === 'user' || !current) groups.push([message]);
    else current.push(message);
  }
  return groups.map((group) => ({
    messages: group,
    position: (group.at(-1) ?? group[0]).position,
    tokens: group.reduce((total, message) => total + estimateMessageTokens(message), 0),
  }));
};

export const countTokens = (turns: readonly { readonly tokens: number }[]): number =>
  turns.reduce((total, { tokens }) => total + tokens, 0);

export const fits = (turns: readonly { readonly tokens: number }[], bounds: Bounds): boolean =>
  turns.length <= bounds.turns && countTokens(turns) <= bounds.tokens;
