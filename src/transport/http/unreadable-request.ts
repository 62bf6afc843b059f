import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyReply } from 'fastify';
import type { Clock } from '../../clock.ts';
import { InvalidRequestError } from '../../errors.ts';
import { toFailure } from '../../chat/results.ts';
import { toErrorData } from '../reply-frames.ts';
import { sendFailure } from './http-errors.ts';

/** What Node says of a request that it could not read, and what its sender is told. */
const SENTENCES: Readonly<Record<string, readonly [status: number, sentence: string]>> = {
  HPE_HEADER_OVERFLOW: [431, 'The headers are too large: at most 8 KiB are taken.'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'The request came too slowly. Send it again.'],
};
const UNREADABLE: readonly [number, string] = [400, 'The request is not valid HTTP.'];

/** Requests that no route and no error handler ever sees have the same shape of answer all the same. */
export const unreadableRequests = (clock: Clock) => ({
  /** A path that is no path. */
  frameworkErrors: (_error: Error, _request: unknown, reply: FastifyReply): void => {
    const error = new InvalidRequestError('The path is not valid: check its escapes (%) and the length of its ids.');
    sendFailure(reply, toFailure(error, clock.now()));
  },
  /** Bytes that are no request; there is no reply to answer with. */
  clientErrorHandler: (error: Error & { readonly code?: string }, socket: Socket): void => {
    if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
    const [status, sentence] = SENTENCES[error.code ?? ''] ?? UNREADABLE;
    const body = JSON.stringify(toErrorData(toFailure(new InvalidRequestError(sentence), clock.now())));
    socket.end(
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Type: application/json; charset=utf-8\r\n` +
        `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
  },
});
