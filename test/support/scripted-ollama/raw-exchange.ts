import { once } from 'node:events';
import { connect } from 'node:net';

export interface RawRequest {
  readonly method: string;
  readonly path: string;
  /** JSON, or text that is sent as it is. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** An answer as it was framed, in the form of the recordings. */
export interface RawAnswer {
  readonly status: number;
  /** `Name: value`, as they came. */
  readonly headers: readonly string[];
  /** The body, one entry per HTTP chunk. */
  readonly chunks: readonly string[];
  /** Whether HTTP's own end of a chunked body came. */
  readonly chunkedTerminator: boolean;
}

/** Asks over a socket of its own and waits until the server closes it: what no HTTP client shows, the framing, is seen. */
export async function rawExchange(port: number, request: RawRequest): Promise<RawAnswer> {
  const socket = connect(port, '127.0.0.1');
  const received: Buffer[] = [];
  socket.on('data', (bytes: Buffer) => received.push(bytes));
  socket.write(encode(request));
  await once(socket, 'close');
  return decode(Buffer.concat(received));
}

function encode({ method, path, body, headers = {} }: RawRequest): string {
  const text = typeof body === 'string' ? body : body === undefined ? '' : JSON.stringify(body);
  const all = { Host: '127.0.0.1', Connection: 'close', 'Content-Length': Buffer.byteLength(text), ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n${text}`;
}

function decode(bytes: Buffer): RawAnswer {
  const bodyStart = bytes.indexOf('\r\n\r\n') + 4;
  const [statusLine = '', ...headers] = bytes.toString('latin1', 0, bodyStart - 4).split('\r\n');
  const body = bytes.subarray(bodyStart);
  const status = Number(statusLine.split(' ')[1]);
  if (!headers.includes('Transfer-Encoding: chunked')) {
    return { status, headers, chunks: [body.toString()], chunkedTerminator: false };
  }
  return { status, headers, ...splitChunks(body) };
}

function splitChunks(body: Buffer): { chunks: readonly string[]; chunkedTerminator: boolean } {
  const chunks: string[] = [];
  for (let at = 0; at < body.length;) {
    const sizeEnd = body.indexOf('\r\n', at);
    const size = Number.parseInt(body.toString('latin1', at, sizeEnd), 16);
    if (size === 0) return { chunks, chunkedTerminator: true };
    chunks.push(body.toString('utf8', sizeEnd + 2, sizeEnd + 2 + size));
    at = sizeEnd + 2 + size + 2;
  }
  return { chunks, chunkedTerminator: false };
}
