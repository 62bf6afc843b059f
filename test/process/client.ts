/** An answer of the HTTP wire, as much as these tests look at. */
export interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

const AS_JSON = { 'content-type': 'application/json' };

export const ask = async (url: string, body: object, headers: Readonly<Record<string, string>> = {}): Promise<Answer> =>
  toAnswer(
    await fetch(`${url}/generate_response`, {
      method: 'POST',
      headers: { ...AS_JSON, ...headers },
      body: JSON.stringify(body),
    }),
  );

export const read = async (url: string): Promise<Answer> => toAnswer(await fetch(url));

const toAnswer = async (response: Response): Promise<Answer> => ({
  status: response.status,
  body: (await response.json()) as Answer['body'], // every body is an object
});

export interface Frame {
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** A socket whose frames are waited for one by one. */
export class SocketClient implements Disposable {
  readonly frames: Frame[] = [];
  /** The close frame's code; 1006 where there was none. */
  readonly closed: Promise<number>;
  readonly #socket: WebSocket;
  readonly #opened: Promise<void>;
  #read = 0;
  #wake = (): void => undefined;

  constructor(url: string, protocols: string[] = []) {
    this.#socket = new WebSocket(`${url.replace('http', 'ws')}/ws`, protocols);
    this.#opened = new Promise((resolve) => this.#socket.addEventListener('open', () => resolve()));
    this.closed = new Promise((resolve) => this.#socket.addEventListener('close', ({ code }) => resolve(code)));
    this.#socket.addEventListener('message', ({ data }) => {
      this.frames.push(JSON.parse(String(data)));
      this.#wake();
    });
    void this.closed.then(() => this.#wake());
  }

  async send(event: string, data: object): Promise<void> {
    await this.#opened;
    this.#socket.send(JSON.stringify({ event, data }));
  }

  /** The next frame that meets `isWanted`; those before it are passed over. */
  async next(isWanted: (frame: Frame) => boolean): Promise<Frame> {
    for (;;) {
      for (; this.#read < this.frames.length; this.#read++) {
        const frame = this.frames[this.#read];
        if (frame && isWanted(frame)) {
          this.#read += 1;
          return frame;
        }
      }
      if (this.#socket.readyState === WebSocket.CLOSED) throw new Error('the socket closed before the frame came');
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  nextEvent(event: string): Promise<Frame> {
    return this.next((frame) => frame.event === event);
  }

  /** The text that the deltas spell. */
  get text(): string {
    return this.frames
      .filter(({ event }) => event === 'llm_delta')
      .map(({ data }) => data['text'])
      .join('');
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}
