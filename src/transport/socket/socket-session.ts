import type { Clock } from '../../clock.ts';
import { toLLMError, type ErrorCode, type LLMError } from '../../errors.ts';
import { InOrder } from '../../chat/in-order.ts';
import type { LLMChatService } from '../../chat/llm-chat-service.ts';
import { toFailure, type Failure } from '../../chat/results.ts';
import type { LLMCancel, LLMRequest, LLMResume } from '../../protocol/client-events.ts';
import type { StreamMode } from '../../protocol/fields.ts';
import type { ServerFrame } from '../../protocol/server-events.ts';
import type { Position } from '../../replies/reply-update.ts';
import type { ReplyRecord } from '../../stores/chat-store.ts';
import { encodeFrame, ReplyFrames, toAcceptedData, toErrorData } from '../reply-frames.ts';
import type { Asker } from '../door.ts';
import { fromSocket } from '../request-parser.ts';
import { parseClientFrame, type ClientEvent } from './client-frame.ts';
import type { SocketSender } from './socket-sender.ts';

export interface SessionParts {
  readonly chat: LLMChatService;
  readonly clock: Clock;
  readonly maxPayloadBytes: number;
  readonly onError: (error: LLMError) => void;
  /** Told the code of what was refused before it was a request. */
  readonly onRefusal: (code: ErrorCode) => void;
}

export interface SessionClient {
  readonly sender: SocketSender;
  readonly asker: Asker;
}

/** So many wrong frames in a row are no accident. */
const MAX_INVALID = 5;
const CLOSE_POLICY = 1008;
/** Of so many ended replies a session knows that their end was told. */
const MAX_TOLD = 256;

/** One client's socket: its events in, its replies' frames out. */
export class SocketSession {
  readonly #parts: SessionParts;
  readonly #sender: SocketSender;
  readonly #asker: Asker;
  readonly #watches = new Map<string, AbortController>();
  /** Requests of one conversation are taken in the order in which they came. */
  readonly #admissions = new InOrder();
  /** Replies whose end was told: who cancels too late is not told it twice. */
  readonly #told = new Set<string>();
  #handling = 0;
  #invalid = 0;
  #closed = false;

  constructor(parts: SessionParts, { sender, asker }: SessionClient) {
    this.#parts = parts;
    this.#sender = sender;
    this.#asker = asker;
  }

  /** How many of the client's frames are being looked at. */
  get handling(): number {
    return this.#handling;
  }

  /** Takes a frame. Never throws or rejects. */
  async onFrame(data: Buffer, isBinary: boolean): Promise<void> {
    if (this.#sender.closed) return; // what is asked behind our goodbye could not be answered
    const frame = parseClientFrame(data, isBinary, this.#parts.maxPayloadBytes);
    if (frame.type === 'refused') {
      this.#parts.onRefusal(frame.error.code);
      this.#refuse(toFailure(frame.error, this.#parts.clock.now(), frame.context));
      if (frame.error.code === 'unsupported') return; // well formed, and may work with a later version
      this.#invalid += 1;
      if (this.#invalid >= MAX_INVALID) this.#sender.close(CLOSE_POLICY, 'too many invalid frames');
      return;
    }
    this.#invalid = 0;
    this.#handling += 1;
    try {
      await this.#handle(frame.event);
    } catch (error) {
      this.#parts.onError(toLLMError(error));
      this.#refuse(toFailure(toLLMError(error), this.#parts.clock.now()));
    } finally {
      this.#handling -= 1;
    }
  }

  /** The client is gone: the watching ends, the replies go on. */
  close(): void {
    this.#closed = true;
    for (const watch of this.#watches.values()) watch.abort();
    this.#watches.clear();
  }

  async #handle(event: ClientEvent): Promise<void> {
    switch (event.event) {
      case 'ping':
        return this.#send({ event: 'pong', data: event.data });
      case 'llm_request':
        return this.#admissions.run(event.data.conversation_id, () => this.#request(event.data));
      case 'llm_resume':
        return this.#resume(event.data);
      case 'llm_cancel':
        return this.#cancel(event.data);
    }
  }

  async #request(request: LLMRequest): Promise<void> {
    const answer = await this.#parts.chat.request(fromSocket(request, this.#asker));
    if (!answer.success) return this.#refuse(answer);
    this.#send({ event: 'llm_accepted', data: toAcceptedData(answer) });
    this.#watch(answer.reply, request.stream, { seq: 0 });
  }

  async #resume({ message_id, seq, at, digest, stream }: LLMResume): Promise<void> {
    const found = await this.#parts.chat.findReply({ messageId: message_id }, { owner: this.#asker.owner });
    if (!found.success) return this.#refuse(found);
    const position = { seq, ...(at !== undefined && { at }), ...(digest !== undefined && { digest }) };
    this.#watch(found.reply, stream, position);
  }

  async #cancel(cancel: LLMCancel): Promise<void> {
    const { chat } = this.#parts;
    const { owner } = this.#asker;
    const reference =
      'message_id' in cancel
        ? { messageId: cancel.message_id }
        : { conversationId: cancel.conversation_id, requestId: cancel.request_id };
    // A cancel right behind its request waits until there is something to cancel.
    if ('conversationId' in reference) await this.#admissions.settled(reference.conversationId);
    const answer = await chat.cancel(reference, { owner });
    // The request that was to be cancelled has an end of its own: an error of the cancel must not look like it.
    if (!answer.success) return this.#refuse(withoutRequest(answer));
    if (this.#watches.has(answer.messageId) || this.#told.has(answer.messageId)) return;
    const found = await chat.findReply({ messageId: answer.messageId }, { owner });
    if (found.success) this.#watch(found.reply, 'none', { seq: 0 }); // who does not watch is told of the end alone
  }

  /** One watch per reply: a new one replaces it. */
  #watch(reply: ReplyRecord, mode: StreamMode, position: Position): void {
    if (this.#closed) return;
    this.#watches.get(reply.messageId)?.abort();
    const watch = new AbortController();
    this.#watches.set(reply.messageId, watch);
    void this.#pump(reply, mode, position, watch.signal).finally(() => {
      if (this.#watches.get(reply.messageId) === watch) this.#watches.delete(reply.messageId);
    });
  }

  async #pump(reply: ReplyRecord, mode: StreamMode, position: Position, signal: AbortSignal): Promise<void> {
    const { chat, clock, onError } = this.#parts;
    const frames = new ReplyFrames({ reply, mode, position, now: () => clock.now() });
    try {
      for await (const update of chat.watch(reply, frames.from, signal)) {
        for (const frame of frames.encode(update)) {
          if (signal.aborted) return;
          await this.#sender.deliver(frame, signal);
          if (frame.isTerminal) this.#tell(reply.messageId);
        }
      }
    } catch (error) {
      if (signal.aborted) return; // another watch has taken its place, or the client is gone
      const { messageId, conversationId, requestId } = reply;
      if (toLLMError(error).code === 'internal_error') onError(toLLMError(error));
      this.#refuse(toFailure(toLLMError(error), clock.now(), { messageId, conversationId, requestId }));
    }
  }

  #tell(messageId: string): void {
    this.#told.add(messageId);
    const [oldest] = this.#told;
    if (this.#told.size > MAX_TOLD && oldest !== undefined) this.#told.delete(oldest);
  }

  #send(frame: ServerFrame): void {
    this.#sender.send(encodeFrame(frame));
  }

  #refuse(failure: Failure): void {
    this.#send({ event: 'llm_error', data: toErrorData(failure) });
  }
}

const withoutRequest = ({ requestId: _requestId, ...failure }: Failure): Failure => failure;
