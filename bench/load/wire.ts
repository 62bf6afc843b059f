/** What comes back of one request, whatever the wire is. */
export interface Listener {
  /** More of the text: whole tokens. */
  onText(text: string): void;
  /** The one end of the request. `error` where it failed. */
  onEnd(error?: string): void;
}

export interface Ask {
  readonly conversationId: string;
  readonly prompt: string;
  /** How the service is to send the text. */
  readonly stream?: 'delta' | 'cumulative';
}

/** A connection on which one request after the other is asked. */
export interface Wire {
  /** Bytes that have come. */
  readonly bytes: number;
  ask(ask: Ask, listener: Listener): void;
  close(): void;
}

/** `ws:` is a WebSocket; `http:` is the backend itself. */
export type OpenWire = (url: string) => Promise<Wire>;
