/** How a key reaches us: in a header, or, from a browser's WebSocket, as a second subprotocol (RFC 6455, 1.9). */

/** The only subprotocol that is ever spoken. */
export const SUBPROTOCOL = 'llm-chat.v1';

const BEARER_SUBPROTOCOL = 'bearer.';
const BEARER_HEADER = /^bearer +(?<key>\S+) *$/i; // RFC 9110, 11.1: the scheme's case does not matter

/** The headers that may carry a key, as Node gives them. */
export interface CredentialHeaders {
  readonly authorization?: string | undefined;
  readonly 'sec-websocket-protocol'?: string | undefined;
}

/** The key of a plain HTTP request; undefined where there is none, or another scheme. */
export const credentialsOfRequest = ({ authorization }: CredentialHeaders): string | undefined =>
  authorization === undefined ? undefined : BEARER_HEADER.exec(authorization)?.groups?.['key'];

/** The key of a WebSocket's handshake: the header's, or the first `bearer.<key>` among the subprotocols. */
export const credentialsOfSocket = (headers: CredentialHeaders): string | undefined =>
  credentialsOfRequest(headers) ?? keyAmong(parseSubprotocols(headers['sec-websocket-protocol'] ?? ''));

/** What to answer to a handshake: never a token, which would then stand in the response. Fits `ws`'s `handleProtocols`. */
export const selectSubprotocol = (offered: Iterable<string>): typeof SUBPROTOCOL | false =>
  [...offered].includes(SUBPROTOCOL) ? SUBPROTOCOL : false;

const parseSubprotocols = (header: string): readonly string[] => header.split(',').map((name) => name.trim());

const keyAmong = (subprotocols: readonly string[]): string | undefined =>
  subprotocols.find((name) => name.startsWith(BEARER_SUBPROTOCOL))?.slice(BEARER_SUBPROTOCOL.length);
