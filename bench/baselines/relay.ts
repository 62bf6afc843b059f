import { Agent, createServer, request, type IncomingMessage } from 'node:http';
import { WebSocketServer, type WebSocket } from 'ws';
import { MODEL } from '../backend/lines.ts';
import { tellReady } from '../measure/ready.ts';

/** The least that passes a model's tokens on: each line is parsed, each token is a frame, nothing is known later. */

const backend = process.env['OLLAMA_BASE_URL'] ?? '';
const agent = new Agent({ keepAlive: true });

interface AskFrame {
  readonly event: string;
  readonly data: { readonly conversation_id: string; readonly message: string };
}

interface ChatLine {
  readonly message: { readonly content: string };
  readonly done: boolean;
}

const answer = (socket: WebSocket, { data }: AskFrame): void => {
  const body = JSON.stringify({ model: MODEL, stream: true, messages: [{ role: 'user', content: data.message }] });
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  const asking = request(`${backend}/api/chat`, { method: 'POST', agent, headers }, (response) =>
    pass(response, socket, data.conversation_id),
  );
  asking.end(body);
};

const pass = (response: IncomingMessage, socket: WebSocket, conversationId: string): void => {
  let [rest, text] = ['', ''];
  response.setEncoding('utf8');
  response.on('data', (piece: string) => {
    const lines = (rest + piece).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const { message, done } = JSON.parse(line) as ChatLine; // the scripted backend's own
      text += message.content;
      const delta = { event: 'llm_delta', data: { conversation_id: conversationId, text: message.content } };
      const end = { event: 'llm_response', data: { success: true, conversation_id: conversationId, response: text } };
      socket.send(JSON.stringify(done ? end : delta));
    }
  });
};

const server = createServer();
const sockets = new WebSocketServer({ server, perMessageDeflate: false });
sockets.on('connection', (socket) => {
  socket.on('error', () => undefined); // the client has left
  socket.on('message', (data: Buffer) => answer(socket, JSON.parse(data.toString()) as AskFrame)); // our own client's
});
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => tellReady(server));
