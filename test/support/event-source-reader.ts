import { Recorder } from './recorder.ts';
import type { Fields } from './socket-client.ts';

/** A server-sent event, or a comment (then `event` is empty and `text` says it). */
export interface ServerEvent {
  readonly id: string | undefined;
  readonly event: string;
  readonly data: Fields;
  readonly text: string;
}

/** Reads server-sent events (WHATWG HTML, 9.2) as they come, comments included. */
export class EventSourceReader implements Disposable {
  readonly status: number;
  readonly headers: Headers;
  readonly #events = new Recorder<ServerEvent>();
  readonly #leaving: AbortController;
  readonly #ended: Promise<'ended' | 'broken'>;

  constructor(response: Response, leaving: AbortController) {
    this.status = response.status;
    this.headers = response.headers;
    this.#leaving = leaving;
    this.#ended = this.#read(response);
  }

  get events(): readonly ServerEvent[] {
    return this.#events.items.filter(({ event }) => event !== '');
  }

  get comments(): readonly string[] {
    return this.#events.items.filter(({ event }) => event === '').map(({ text }) => text);
  }

  /** `ended` when HTTP says that this was all, `broken` when the connection went away before. */
  get ended(): Promise<'ended' | 'broken'> {
    return this.#ended;
  }

  waitFor(predicate: (event: ServerEvent) => boolean, what?: string): Promise<ServerEvent> {
    return this.#events.waitFor(predicate, what);
  }

  waitForEvent(name: string): Promise<ServerEvent> {
    return this.waitFor(({ event }) => event === name, name);
  }

  waitForComment(comment: string): Promise<ServerEvent> {
    return this.waitFor(({ event, text }) => event === '' && text === comment, comment);
  }

  /** Leaves without a word. */
  [Symbol.dispose](): void {
    this.#leaving.abort();
  }

  async #read(response: Response): Promise<'ended' | 'broken'> {
    const decoder = new TextDecoder();
    let rest = '';
    try {
      for await (const chunk of response.body ?? []) {
        const blocks = (rest + decoder.decode(chunk as Uint8Array, { stream: true })).split('\n\n'); // bytes, says the standard
        rest = blocks.pop() ?? '';
        for (const block of blocks) this.#events.add(toEvent(block));
      }
      this.#events.close('the stream ended');
      return 'ended';
    } catch {
      this.#events.close('the connection broke');
      return 'broken';
    }
  }
}

const toEvent = (text: string): ServerEvent => {
  const fields = new Map(text.split('\n').map((line) => [line.split(': ', 1)[0] ?? '', line.replace(/^[^:]*: /, '')]));
  const event = fields.get('event') ?? '';
  const data = Object(JSON.parse(fields.get('data') ?? 'null')) as Fields; // the service's own
  return { id: fields.get('id'), event, data, text };
};
