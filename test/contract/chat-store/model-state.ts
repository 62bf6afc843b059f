import type { ReplyState } from '../../../src/conversation/reply-event.ts';
import type { Begin, PositionRange } from '../../../src/stores/chat-store.ts';

interface ModelSummary {
  readonly position: number;
  readonly text: string;
}

interface ModelRoom {
  active: string | undefined;
  /** Their texts: the first has position 1. */
  readonly messages: string[];
  /** Positions. */
  window: number[];
  cut: number;
  /** Every position, ascending. */
  replaced: number[];
  summaries: ModelSummary[];
  readonly requests: Record<string, { readonly messageId: string; readonly fingerprint: string }>;
}

interface ModelReply extends Pick<Begin, 'replaces' | 'continues'> {
  readonly room: string;
  readonly token: string;
  /** The position of the question that it brought. */
  readonly question?: number;
  /** Of its message, once it has ended. */
  answer?: number;
  state: ReplyState;
  /** The texts of its events, the terminal one's included. */
  readonly log: string[];
}

/** Two kinds of things in memory: all that a store is. */
export interface ModelState {
  readonly rooms: Record<string, ModelRoom>;
  readonly replies: Record<string, ModelReply>;
  /** How often a prompt of each room was changed, as the versions count it. */
  readonly changes: Record<string, number>;
}

export const EMPTY: ModelState = { rooms: {}, replies: {}, changes: {} };

export interface ObservedRoom extends Pick<ModelRoom, 'active' | 'messages' | 'window' | 'cut' | 'summaries'> {
  readonly replaced: readonly PositionRange[];
}

export interface ObservedReply {
  readonly state: ReplyState;
  readonly log: readonly string[];
  /** What its message says. */
  readonly message: string | undefined;
}

/** What can be seen of a state from outside. */
export interface Observation {
  readonly rooms: Record<string, ObservedRoom>;
  readonly replies: Record<string, ObservedReply>;
}

export const observeModel = (state: ModelState, rooms: readonly string[]): Observation => {
  const observation: Observation = { rooms: {}, replies: {} };
  for (const room of rooms) {
    const model = state.rooms[room];
    if (!model) continue;
    const { active, messages, window, cut, summaries } = model;
    observation.rooms[room] = { active, messages, window, cut, summaries, replaced: toRanges(model.replaced) };
  }
  for (const [messageId, { room, state: replyState, log, answer }] of Object.entries(state.replies)) {
    const message = answer === undefined ? undefined : state.rooms[room]?.messages[answer - 1];
    observation.replies[messageId] = { state: replyState, log, message };
  }
  return observation;
};

/** Positions in a row are a range. */
const toRanges = (positions: readonly number[]): readonly PositionRange[] => {
  const firsts = positions.filter((position) => !positions.includes(position - 1));
  const lasts = positions.filter((position) => !positions.includes(position + 1));
  return firsts.map((first, index) => ({ first, last: lasts[index] ?? first }));
};

export interface ModelBegin {
  readonly begin: Begin;
  /** What was there when it was opened; undefined for a version that never was. */
  readonly seen: ModelState | undefined;
  readonly token: string;
}

export const beginModel = (state: ModelState, { begin, seen, token }: ModelBegin): unknown => {
  const { conversationId: room, requestId, fingerprint, messageId, userMessage, replaces, continues, cut } = begin;
  const model = state.rooms[room];
  const known = model?.requests[requestId];
  if (known) {
    return { type: known.fingerprint === fingerprint ? 'exists' : 'conflict', messageId: known.messageId };
  }
  if (model?.active) return { type: 'busy', messageId: model.active };
  if (!seen || !isSame(state, seen, room)) return { type: 'stale' };
  if (continues && model?.window.at(-1) !== continues.position) return { type: 'stale' };
  const next = model ?? createRoom();
  state.rooms[room] = next;
  noteChange(state, room);
  next.active = messageId;
  next.requests[requestId] = { messageId, fingerprint };
  const question = userMessage && next.messages.push(userMessage.content);
  if (!replaces) {
    if (question) next.window.push(question);
    next.cut = Math.max(next.cut, cut.position);
    next.window = next.window.filter((position) => position > next.cut);
  }
  state.replies[messageId] = {
    room,
    token,
    state: 'running',
    log: [],
    ...(question && { question }),
    ...(replaces && { replaces }),
    ...(continues && { continues }),
  };
  return { type: 'begun', token };
};

const createRoom = (): ModelRoom => ({
  active: undefined,
  messages: [],
  window: [],
  cut: 0,
  replaced: [],
  summaries: [],
  requests: {},
});

/** Whether a room has the version that it had; one that is not there and was not has version 0. */
const isSame = (now: ModelState, then: ModelState, room: string): boolean =>
  now.changes[room] === then.changes[room] || (!now.rooms[room] && !then.rooms[room]);

const noteChange = (state: ModelState, room: string): void => {
  state.changes[room] = (state.changes[room] ?? 0) + 1;
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
  noteChange(state, reply.room);
  reply.state = end.state;
  room.active = undefined;
  const { continues } = reply;
  if (continues) {
    reply.answer = continues.position;
    if (end.content !== '') room.messages[continues.position - 1] = end.content;
    return;
  }
  reply.answer = room.messages.push(end.content);
  if (end.content !== '' || end.state === 'done') addToThread(room, reply, reply.answer);
  else room.window = room.window.filter((position) => position !== reply.question);
};

const addToThread = (room: ModelRoom, { replaces, question }: ModelReply, answer: number): void => {
  if (replaces) {
    const first = question ?? answer;
    const positions = room.messages.map((_, index) => index + 1);
    room.replaced = positions.filter(
      (position) => room.replaced.includes(position) || (position >= replaces.from && position < first),
    );
    room.window = [...replaces.window, ...(question ? [question] : [])];
    room.cut = replaces.cut.position;
    room.summaries = room.summaries.filter(({ position }) => position < replaces.from);
  }
  room.window.push(answer);
};

export interface ModelKeep extends ModelSummary {
  readonly room: string;
  readonly expected: readonly PositionRange[];
}

export const keepModel = (state: ModelState, { room, position, text, expected }: ModelKeep): unknown => {
  const model = state.rooms[room];
  if (!model) return { type: 'gone' };
  const isAsExpected = JSON.stringify(toRanges(model.replaced)) === JSON.stringify(expected);
  if (position > model.messages.length || !isAsExpected) return { type: 'stale' };
  const others = model.summaries.filter((summary) => summary.position !== position);
  const all = [...others, { position, text }].toSorted((one, other) => one.position - other.position);
  const inForce = all.filter((summary) => summary.position <= model.cut);
  const next = all.filter((summary) => summary.position > model.cut);
  model.summaries = [...inForce.slice(-1), ...next.slice(-1)];
  return { type: 'kept' };
};

export const deleteModel = (state: ModelState, room: string): unknown => {
  if (!state.rooms[room]) return { type: 'gone' };
  delete state.rooms[room];
  noteChange(state, room);
  for (const [messageId, reply] of Object.entries(state.replies)) {
    if (reply.room === room) delete state.replies[messageId];
  }
  return { type: 'deleted' };
};
