import { readFileSync } from 'node:fs';

/** A script of Redis: one atomic step. `time.lua` begins each; what else it is made of is named here. */
export interface Script {
  readonly name: string;
  readonly lua: string;
}

/**
 * A first line `#!lua flags=…` stays the first. Without flags a script is refused when memory is out: what must go on
 * then says `allow-oom`.
 */
const loadScript = (name: string, ...parts: readonly string[]): Script => {
  const own = readLua(name);
  const header = /^#!lua.*\n/.exec(own)?.[0] ?? '#!lua\n';
  const body = own.startsWith(header) ? own.slice(header.length) : own;
  return { name: `chat:${name}`, lua: [header, ...['time', ...parts].map(readLua), body].join('') };
};

const readLua = (name: string): string => readFileSync(new URL(`scripts/${name}.lua`, import.meta.url), 'utf8');

export const createConversation = loadScript('create-conversation', 'conversation');
export const updateConversation = loadScript('update-conversation', 'conversation');
export const keepSummary = loadScript('keep-summary', 'conversation', 'summaries');
export const deleteConversation = loadScript('delete-conversation', 'conversation');
export const loadConversations = loadScript('load-conversations');
export const loadMessages = loadScript('load-messages', 'conversation');
export const openConversation = loadScript('open', 'conversation');
export const beginReply = loadScript('begin', 'conversation');
export const appendEvents = loadScript('append', 'writing');
export const renewLeases = loadScript('renew', 'writing');
export const finishReply = loadScript('finish', 'conversation', 'summaries', 'writing', 'end-turn');
export const closeReply = loadScript('close', 'conversation', 'summaries', 'end-turn');
export const loadReply = loadScript('load-reply', 'conversation');
export const loadReplyMessage = loadScript('load-reply-message', 'conversation');
export const readLog = loadScript('read-log', 'conversation');
export const findExpiredLeases = loadScript('find-expired-leases');
export const checkLease = loadScript('check-lease', 'conversation');
export const touchList = loadScript('touch-list');
export const readList = loadScript('read-list');
export const mendList = loadScript('mend-list');
export const charge = loadScript('charge');
export const renewRunning = loadScript('renew-running');
export const raiseSchema = loadScript('raise-schema');
export const uncharge = loadScript('uncharge');
