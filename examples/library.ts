/**
 * The chat service inside of an app of your own, without a wire: `npx node examples/library.ts`.
 * It takes the settings of the service; where there is no Ollama, ELIZA answers.
 */
import { parseConfig } from '../src/config.ts';
import { openChatService } from '../src/service.ts';

// A data folder belongs to one process: not the one of a service that may be running.
const config = parseConfig({
  LOG_LEVEL: 'warn',
  ...process.env,
  DATA_DIR: process.env['DATA_DIR'] ?? './data/library',
});
const print = (text: string): boolean => process.stdout.write(text);

const chat = await openChatService(config);
await chat.initialize(); // ends what an earlier run left unfinished

// A conversation of its own for each run. Every answer says first whether it worked.
const conversationId = `library-${Date.now()}`;
const created = await chat.createConversation(conversationId, 'You answer in one sentence.');
print(`created: ${created.success}\n`);

// Ask, and wait for the whole reply.
const answer = await chat.generateResponse(conversationId, 'Hello!', { maxTokens: 200 });
print(answer.success ? `answer: ${answer.response}\n` : `failed: ${answer.code}: ${answer.error}\n`);

// Ask, and see the words come.
print('stream: ');
for await (const update of chat.streamResponse(conversationId, 'I need a longer story.')) {
  if (update.type === 'refused') print(update.failure.error);
  if (update.type !== 'entries') continue;
  for (const { event } of update.entries) {
    if (event.type === 'text-delta' && event.channel === 'content') print(event.text);
    if (event.type === 'end') print(`\nended: ${event.finishReason ?? event.failure?.code}\n`);
  }
}

// Ask, and think better of it. Leaving the loop would not stop the reply; cancel does, and keeps what was said.
for await (const update of chat.streamResponse(conversationId, 'Tell me everything you know.')) {
  if (update.type === 'accepted') await chat.cancel({ messageId: update.reply.messageId });
  const end = update.type === 'entries' ? update.entries.at(-1)?.event : undefined;
  if (end?.type === 'end') print(`cancelled: ${end.finishReason === 'cancelled'}\n`);
}

const page = await chat.listMessages(conversationId);
if (page.success) print(`messages: ${page.messages.length}\n`);
await chat.close();
