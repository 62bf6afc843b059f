import { connect as connectTcp, type Socket } from 'node:net';

/** All connections read into the same memory: what comes is looked at before the next read. */
const room = Buffer.alloc(256 * 1024);

/** A TCP connection to what listens at `url`; `onBytes` gets memory that is used again. */
export const connect = (url: URL, onBytes: (bytes: Buffer) => void): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const onread = {
      buffer: room,
      callback: (count: number, buffer: Uint8Array): boolean => {
        onBytes(Buffer.from(buffer.buffer, buffer.byteOffset, count));
        return true;
      },
    };
    const socket = connectTcp({ host: url.hostname, port: Number(url.port), noDelay: true, onread });
    socket.once('connect', () => resolve(socket)).on('error', reject);
  });
