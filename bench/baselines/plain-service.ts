import websocket from '@fastify/websocket';
import Fastify from 'fastify';
import { Redis } from 'ioredis';
import { Ollama, type Message } from 'ollama';
import { MODEL } from '../backend/lines.ts';
import { tellReady } from '../measure/ready.ts';

/** The service as it is commonly written with the same packages: the history in Redis, and nothing that outlasts a crash. */

const MAX_MESSAGES = 20;

const ollama = new Ollama({ host: process.env['OLLAMA_BASE_URL'] ?? '' });
const redis = new Redis(process.env['REDIS_URL'] ?? '');
const app = Fastify();
await app.register(websocket);

interface AskFrame {
  readonly event: string;
  readonly data: { readonly conversation_id: string; readonly message: string };
}

type Send = (event: string, data: Readonly<Record<string, unknown>>) => void;

const answer = async ({ data }: AskFrame, send: Send): Promise<void> => {
  const key = `plain:${data.conversation_id}`;
  const asked: Message = { role: 'user', content: data.message };
  const stored = await redis.lrange(key, -MAX_MESSAGES, -1);
  const history = stored.map((text) => JSON.parse(text) as Message); // what was stored below
  let text = '';
  const parts = await ollama.chat({ model: MODEL, stream: true, messages: [...history, asked] });
  for await (const { message, done } of parts) {
    text += message.content;
    if (!done) send('llm_delta', { conversation_id: data.conversation_id, text: message.content });
  }
  await redis.rpush(key, JSON.stringify(asked), JSON.stringify({ role: 'assistant', content: text }));
  send('llm_response', { success: true, conversation_id: data.conversation_id, response: text });
};

app.get('/ws', { websocket: true }, (socket) => {
  const send: Send = (event, data) => socket.send(JSON.stringify({ event, data }));
  socket.on('message', (data: Buffer) => {
    const frame = JSON.parse(data.toString()) as AskFrame; // our own client's
    answer(frame, send).catch((error: unknown) => send('llm_error', { success: false, error: String(error) }));
  });
});

await app.listen({ port: 0, host: '127.0.0.1', backlog: 4096 });
tellReady(app.server);
