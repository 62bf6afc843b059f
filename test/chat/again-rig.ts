import type { LLMChatService } from '../../src/chat/llm-chat-service.ts';
import type { GenerateOptions } from '../../src/chat/chat-request.ts';
import type { Failure, Reply } from '../../src/chat/results.ts';
import type { Variables } from '../../src/config.ts';
import { openChatRig, type ChatRig } from '../support/chat-service.ts';
import type { Step } from '../support/scripted-ollama/scripted-ollama.ts';

/** A service that asks its Ollama once: what fails has failed. */
export const openAgainRig = (settings: Variables = {}): Promise<ChatRig> =>
  openChatRig({ settings: { LLM_MAX_RETRIES: '0', ...settings } });

/** What the model says next: a word is a token. */
export const saying = (text: string, reason = 'stop'): readonly Step[] => [
  ...(text.match(/\S+\s*/g) ?? []).map((say) => ({ say })),
  { done: { reason } },
];

/** A reply that is cut short by its number of tokens. */
export const cutShort = (text: string): readonly Step[] => saying(text, 'length');

/** A reply that fails before it says anything, or behind some words. */
export const failing = (text = ''): readonly Step[] => [
  ...saying(text).slice(0, -1),
  { error: 'an error was encountered while running the model: unexpected EOF' },
];

/** Asks in `c1`, and is answered so. */
export const ask = async (
  { chat, ollama }: ChatRig,
  message: string,
  answer: readonly Step[],
  options: GenerateOptions = {},
): Promise<Reply> => {
  ollama.next(answer);
  const reply = await chat.generateResponse('c1', message, options);
  if (!reply.success) throw new Error(reply.error);
  return reply;
};

/** The same, where the reply fails. */
export const askInVain = async (
  { chat, ollama }: ChatRig,
  message: string,
  answer: readonly Step[],
  options: GenerateOptions = {},
): Promise<Failure & { readonly messageId: string }> => {
  ollama.next(answer);
  const failure = await chat.generateResponse('c1', message, options);
  if (failure.success || failure.messageId === undefined) throw new Error('no reply has failed');
  return { ...failure, messageId: failure.messageId };
};

/** The messages of `c1`. */
export const list = async (chat: LLMChatService) => {
  const page = await chat.listMessages('c1', { limit: 200 });
  if (!page.success) throw new Error(page.error);
  return page.messages;
};

/** The messages of `c1`, a text each; those that are not in force in brackets. */
export const listed = async (chat: LLMChatService): Promise<readonly string[]> =>
  (await list(chat)).map(({ content, active }) => (active ? content : `[${content}]`));

/** The id of a user's message, by its text: the newest of them. */
export const idOf = async (chat: LLMChatService, content: string): Promise<string> => {
  const found = (await list(chat)).findLast((message) => message.content === content);
  if (!found) throw new Error(`nobody has said ${content}`);
  return found.id;
};

/** What the model was sent last, up to the question; without the system prompt. */
export const lastSent = ({ ollama }: ChatRig): readonly string[] => {
  const { messages } = Object(ollama.ledger.chats.at(-1)?.body) as { messages: { role: string; content: string }[] }; // as Ollama takes it
  const question = messages.findLastIndex(({ role }) => role === 'user');
  const said = messages.slice(0, question + 1).filter(({ role }) => role !== 'system');
  return said.map(({ content }) => content);
};

/** How many turns a reply's model was not sent, as its log says. */
export const toDroppedTurns = async ({ chat }: ChatRig, messageId: string): Promise<number> => {
  const page = await chat.listEvents(messageId);
  if (!page.success) throw new Error(page.error);
  const [context] = page.entries.flatMap(({ event }) => (event.type === 'context' ? [event] : []));
  return context?.droppedTurns ?? 0;
};
