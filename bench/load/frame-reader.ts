export const TEXT = 1;
export const CLOSE = 8;
export const PING = 9;

const LENGTH_16 = 126;
const LENGTH_64 = 127;

/**
 * Takes the frames of a server out of bytes that may be cut anywhere (RFC 6455, 5.2). They are not fragmented and
 * not masked; their text is read as latin1, since all that is measured is ASCII.
 */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);
  readonly #onFrame: (opcode: number, payload: Buffer) => void;

  constructor(onFrame: (opcode: number, payload: Buffer) => void) {
    this.#onFrame = onFrame;
  }

  read(piece: Buffer): void {
    const bytes = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece]);
    let start = 0;
    for (let frame = findFrame(bytes, start); frame; frame = findFrame(bytes, start)) {
      this.#onFrame((bytes[start] ?? 0) & 0x0f, bytes.subarray(frame.from, frame.to));
      start = frame.to;
    }
    this.#rest = Buffer.from(bytes.subarray(start)); // a copy: the piece's memory is used again
  }
}

const findFrame = (bytes: Buffer, start: number): { readonly from: number; readonly to: number } | undefined => {
  const left = bytes.length - start;
  if (left < 2) return undefined;
  const short = (bytes[start + 1] ?? 0) & 0x7f;
  const headBytes = short === LENGTH_64 ? 10 : short === LENGTH_16 ? 4 : 2;
  if (left < headBytes) return undefined;
  const from = start + headBytes;
  const to = from + readLength(bytes, start, short);
  return to <= bytes.length ? { from, to } : undefined;
};

const readLength = (bytes: Buffer, start: number, short: number): number => {
  if (short === LENGTH_16) return bytes.readUInt16BE(start + 2);
  return short === LENGTH_64 ? Number(bytes.readBigUInt64BE(start + 2)) : short;
};

/** A client's frame; a mask of zeros leaves the bytes as they are. */
export const toClientFrame = (opcode: number, payload: Buffer): Buffer => {
  const head =
    payload.length < LENGTH_16
      ? Buffer.from([0x80 | opcode, 0x80 | payload.length, 0, 0, 0, 0])
      : Buffer.from([0x80 | opcode, 0x80 | LENGTH_16, payload.length >> 8, payload.length & 0xff, 0, 0, 0, 0]);
  return Buffer.concat([head, payload]);
};
