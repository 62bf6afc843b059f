import { createServer, type Socket } from 'node:net';
import { tellReady } from '../measure/ready.ts';
import { ANSWERS, LOADED, NOT_FOUND } from './answers.ts';
import { readRequests, type Request } from './http-connection.ts';
import { prepareReply } from './lines.ts';
import { Pacer } from './pacer.ts';
import { TOKEN_CHARACTERS } from './tokens.ts';

/** The scripted Ollama: it costs far less than whatever is measured before it. */

/** `bench <tokens> <milliseconds per token> [<characters per token>]`, in the last message. */
const ORDER = /^bench (\d+) (\d+)(?: (\d+))?/;

const pacer = new Pacer();

const answer = (socket: Socket, { path, body }: Request): void => {
  if (path === '/api/chat') chat(socket, body);
  else socket.write(ANSWERS[path] ?? NOT_FOUND);
};

const chat = (socket: Socket, body: string): void => {
  if (body.includes('"messages":[]')) return void socket.write(LOADED);
  const order = ORDER.exec(body.slice(body.lastIndexOf('bench ')));
  const [tokens, msPerToken, characters] = [Number(order?.[1] ?? 1), Number(order?.[2] ?? 0), Number(order?.[3] ?? 0)];
  if (msPerToken === 0) socket.write(prepareReply(tokens));
  else pacer.start({ socket, tokens, msPerToken, characters: characters || TOKEN_CHARACTERS });
};

const server = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => undefined); // whoever asked has left
  readRequests(socket, (request) => answer(socket, request));
});
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => tellReady(server));
