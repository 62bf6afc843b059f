// A process with a store, for tests that kill it: `node store-process.ts <data folder> hold|append`.
// It writes a line when it has the folder, and one for each append that was acknowledged, or why it has not opened.
import { writeSync } from 'node:fs';
import { openSqliteStore } from '../../src/stores/sqlite/open-sqlite-store.ts';
import type { SqliteChatStore } from '../../src/stores/sqlite/sqlite-chat-store.ts';
import { systemClock, systemIds } from '../../src/system.ts';

const [dataDir = '', task] = process.argv.slice(2);
const instance = `process ${process.pid}`;

const tell = (line: string): void => void writeSync(1, `${line}\n`); // at once: the process may be killed next

const appendForEver = async (store: SqliteChatStore): Promise<void> => {
  const messageId = 'reply';
  const answer = await store.begin({
    owner: 'ada',
    conversationId: 'kitchen',
    requestId: 'request',
    fingerprint: 'body',
    messageId,
    userMessage: { role: 'user', id: 'user', content: 'Is it done?', createdAt: 0 },
    model: 'qwen3:4b',
    promptTokens: 10,
    createdAt: 0,
    expectedVersion: 0,
    cut: { position: 0, droppedTurns: 0 },
    instance,
  });
  if (answer.type !== 'begun') throw new Error(`The reply has not begun: ${answer.type}`);
  for (let seq = 1; ; seq++) {
    const events = [{ type: 'text-delta', channel: 'content', at: seq - 1, text: 'x' } as const];
    const [appended] = await store.append([{ messageId, token: answer.token, seq, events }]);
    tell(`${appended?.type} ${seq}`);
  }
};

try {
  const store = await openSqliteStore({ dataDir, clock: systemClock, ids: systemIds, instance });
  tell('open');
  if (task === 'append') await appendForEver(store);
  process.stdin.resume(); // holds the process, and with it the store
} catch (error) {
  tell(String(error));
}
