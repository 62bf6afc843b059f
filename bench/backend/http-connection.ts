import type { Socket } from 'node:net';

export interface Request {
  readonly path: string;
  readonly body: string;
}

const HEAD_END = '\r\n\r\n';
const LENGTH = /\r\ncontent-length: (\d+)/i;

/**
 * Reads requests from a connection that is kept open, as far as this benchmark needs HTTP: bodies have a
 * `Content-Length`. A character is a byte here.
 */
export const readRequests = (socket: Socket, onRequest: (request: Request) => void): void => {
  let text = '';
  socket.setEncoding('latin1');
  socket.on('data', (piece: string) => {
    text += piece;
    for (;;) {
      const headEnd = text.indexOf(HEAD_END);
      if (headEnd === -1) return;
      const head = text.slice(0, headEnd);
      const bodyStart = headEnd + HEAD_END.length;
      const bodyEnd = bodyStart + Number(LENGTH.exec(head)?.[1] ?? 0);
      if (text.length < bodyEnd) return;
      const body = text.slice(bodyStart, bodyEnd);
      text = text.slice(bodyEnd);
      onRequest({ path: head.slice(head.indexOf(' ') + 1, head.indexOf(' HTTP/')), body });
    }
  });
};
