import type { z } from 'zod';
import { InvalidRequestError, PayloadTooLargeError, UnsupportedError, type LLMError } from '../../errors.ts';
import { ClientFrame, clientEvents, type ClientEventName } from '../../protocol/client-events.ts';
import { ConversationId, RequestId } from '../../protocol/fields.ts';
import { parseJsonText } from '../json-text.ts';
import { refuseUnsupported, toInvalidRequest } from '../request-parser.ts';

/** A client's event with its data checked. */
export type ClientEvent = {
  [Name in ClientEventName]: { readonly event: Name; readonly data: z.infer<(typeof clientEvents)[Name]> };
}[ClientEventName];

/** What could still be read of a frame that is wrong, so that the error can be tied to it. */
export interface FrameContext {
  readonly conversationId?: string;
  readonly requestId?: string;
}

export type ParsedFrame =
  | { readonly type: 'event'; readonly event: ClientEvent }
  | { readonly type: 'refused'; readonly error: LLMError; readonly context: FrameContext };

const EVENT_NAMES = Object.keys(clientEvents);

/** From a frame to an event; what is wrong with it is said, never thrown. */
export const parseClientFrame = (data: Buffer, isBinary: boolean, maxBytes: number): ParsedFrame => {
  let value: unknown;
  try {
    if (data.length > maxBytes) throw tooLarge(data.length, maxBytes);
    if (isBinary) throw new InvalidRequestError('Frames are text: one JSON object each, {"event": …, "data": {…}}.');
    value = parseJsonText(data.toString('utf8'), 'The frame');
    return { type: 'event', event: parseEvent(value) };
  } catch (error) {
    return { type: 'refused', error: error as LLMError, context: toContext(value) }; // everything above throws ours
  }
};

const tooLarge = (bytes: number, maxBytes: number): PayloadTooLargeError =>
  new PayloadTooLargeError(`The frame has ${bytes} bytes; at most ${maxBytes} are taken (MAX_PAYLOAD_BYTES).`);

const parseEvent = (value: unknown): ClientEvent => {
  const frame = ClientFrame.safeParse(value);
  if (!frame.success) throw toInvalidRequest(frame.error.issues);
  const { event, data } = frame.data;
  if (event === 'llm_tool_result') throw new UnsupportedError('This version of the service does not support tools.');
  if (!isEventName(event)) {
    throw new InvalidRequestError(`Unknown event ${JSON.stringify(event)}. Known are: ${EVENT_NAMES.join(', ')}.`);
  }
  if (event === 'llm_request') refuseUnsupported(data);
  const parsed = clientEvents[event].safeParse(data);
  if (!parsed.success) throw toInvalidRequest(parsed.error.issues, 'data');
  return { event, data: parsed.data } as ClientEvent; // the schema was chosen by the name
};

const isEventName = (name: string): name is ClientEventName => Object.hasOwn(clientEvents, name);

/** Ids that could not be ours are not given back. */
const toContext = (value: unknown): FrameContext => {
  if (typeof value !== 'object' || value === null || !('data' in value)) return {};
  const { data } = value;
  if (typeof data !== 'object' || data === null) return {};
  const conversationId = ConversationId.safeParse('conversation_id' in data ? data.conversation_id : undefined);
  const requestId = RequestId.safeParse('request_id' in data ? data.request_id : undefined);
  return {
    ...(conversationId.success && { conversationId: conversationId.data }),
    ...(requestId.success && { requestId: requestId.data }),
  };
};
