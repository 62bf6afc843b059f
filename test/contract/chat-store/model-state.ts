import type { ReplyState } from '../../../src/conversation/reply-event.ts';

interface ModelMessage {
  /** Of a user message. */
  readonly id?: string;
  readonly content: string;
  sendable: boolean;
}

interface ModelRoom {
  active: string | undefined;
  readonly messages: ModelMessage[];
  readonly requests: Record<string, { readonly messageId: string; readonly fingerprint: string }>;
}

interface ModelReply {
  readonly room: string;
  readonly token: string;
  state: ReplyState;
  /** The texts of its events, the terminal one's included. */
  readonly log: string[];
}

/** Two kinds of things in memory: all that a store is. */
export interface ModelState {
  readonly rooms: Record<string, ModelRoom>;
  readonly replies: Record<string, ModelReply>;
}

/** What can be seen of a state from outside. */
export interface Observation {
  readonly rooms: Record<string, { active: string | undefined; messages: string[]; window: string[] }>;
  readonly replies: Record<string, { state: ReplyState; log: string[] }>;
}

export const observeModel = (state: ModelState, rooms: readonly string[]): Observation => {
  const observation: Observation = { rooms: {}, replies: {} };
  for (const room of rooms) {
    const model = state.rooms[room];
    if (!model) continue;
    const window = model.messages.filter((message) => message.sendable);
    observation.rooms[room] = {
      active: model.active,
      messages: model.messages.map((message) => message.content),
      window: window.map((message) => message.content),
    };
  }
  for (const [messageId, { state: replyState, log }] of Object.entries(state.replies)) {
    observation.replies[messageId] = { state: replyState, log };
  }
  return observation;
};

/** How many messages a conversation had, and which was the first: one that took its id has another. */
export interface SeenRoom {
  readonly messageCount: number;
  readonly firstId: string | undefined;
}

export interface ModelBegin {
  readonly room: string;
  readonly requestId: string;
  readonly fingerprint: string;
  readonly messageId: string;
  readonly content: string;
  /** The user message's. */
  readonly id: string;
  /** What the conversation was when it was opened; undefined for a version that never was. */
  readonly seen: SeenRoom | undefined;
  readonly token: string;
}

export const beginModel = (state: ModelState, begin: ModelBegin): unknown => {
  const { room, requestId, fingerprint, messageId, content, id, seen, token } = begin;
  const model = state.rooms[room];
  const known = model?.requests[requestId];
  if (known) {
    return { type: known.fingerprint === fingerprint ? 'exists' : 'conflict', messageId: known.messageId };
  }
  if (model?.active) return { type: 'busy', messageId: model.active };
  const firstId = model?.messages[0]?.id;
  if ((model?.messages.length ?? 0) !== seen?.messageCount || firstId !== seen?.firstId) return { type: 'stale' };
  const next = model ?? { active: undefined, messages: [], requests: {} };
  state.rooms[room] = next;
  next.active = messageId;
  next.messages.push({ id, content, sendable: true });
  next.requests[requestId] = { messageId, fingerprint };
  state.replies[messageId] = { room, token, state: 'running', log: [] };
  return { type: 'begun', token };
};

export interface ModelAppend {
  readonly messageId: string;
  readonly token: string;
  readonly seq: number;
  readonly texts: readonly string[];
}

export const appendModel = (state: ModelState, { messageId, token, seq, texts }: ModelAppend): { type: string } => {
  const reply = state.replies[messageId];
  if (!reply) return { type: 'gone' };
  if (reply.token !== token) return { type: 'fenced' };
  const answer = toClosed(reply) ?? toPlace(reply.log.length, seq, texts.length);
  if (answer.type === 'ok') reply.log.push(...texts);
  return answer;
};

const toClosed = (reply: ModelReply): { type: 'closed'; state: ReplyState } | undefined =>
  reply.state === 'running' ? undefined : { type: 'closed', state: reply.state };

const toPlace = (have: number, seq: number, count: number): { type: string } => {
  if (seq === have + 1) return { type: 'ok' };
  return seq + count - 1 <= have ? { type: 'duplicate' } : Object.assign({ type: 'gap' }, { have });
};

export const cancelModel = (state: ModelState, messageId: string): unknown => {
  const reply = state.replies[messageId];
  if (!reply) return { type: 'gone' };
  const closed = toClosed(reply);
  if (closed) return closed;
  const text = reply.log.join('');
  reply.log.push(text);
  endModel(state, messageId, { state: 'cancelled', content: text });
  return { type: 'ok', text };
};

/** Nobody's process ends in the model: a reply that runs is alive. */
export const sealModel = (state: ModelState, messageId: string): unknown =>
  state.replies[messageId]?.state === 'running' ? { type: 'live' } : cancelModel(state, messageId);

export const endModel = (
  state: ModelState,
  messageId: string,
  end: { readonly state: 'done' | 'failed' | 'cancelled'; readonly content: string },
): void => {
  const reply = state.replies[messageId];
  const room = state.rooms[reply?.room ?? ''];
  if (!reply || !room) return;
  const sendable = end.content !== '' || end.state === 'done';
  const question = room.messages.at(-1);
  if (question) question.sendable = sendable;
  reply.state = end.state;
  room.messages.push({ content: end.content, sendable });
  room.active = undefined;
};

export const deleteModel = (state: ModelState, room: string): unknown => {
  if (!state.rooms[room]) return { type: 'gone' };
  delete state.rooms[room];
  for (const [messageId, reply] of Object.entries(state.replies)) {
    if (reply.room === room) delete state.replies[messageId];
  }
  return { type: 'deleted' };
};
