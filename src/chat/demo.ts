import type { Clock } from '../clock.ts';
import type { AssistantMessage } from '../conversation/message.ts';
import type { ReplyEvent, ReplyOutcome } from '../conversation/reply-event.ts';
import { toReplyEnd } from '../conversation/transcript.ts';
import type { ChatStore } from '../stores/chat-store.ts';

/** What the examples of the documentation are about. */
export const DEMO = { conversationId: 'demo', requestId: 'demo' } as const;

/** ELIZA's name, so that whoever goes on with the example before there is an Ollama is answered. */
const MODEL = 'eliza';
const QUESTION = 'What is this service?';
const PIECES = ['A chat backend for Ollama. ', 'A reply belongs to the server: ', 'it goes on when the client leaves.'];

const OUTCOME: ReplyOutcome = {
  state: 'done',
  finishReason: 'stop',
  usage: { promptTokens: 12, completionTokens: 24, source: 'estimated' },
  timings: { queuedMs: 0, loadMs: 0, firstTokenMs: 120, totalMs: 480 },
};

export interface DemoParts {
  readonly store: ChatStore;
  readonly clock: Clock;
  readonly owner: string;
  readonly instance: string;
}

/** Makes the finished conversation that the docs UI's examples show, unless it is there; gives its reply's id. */
export const createDemo = async ({ store, clock, owner, instance }: DemoParts): Promise<string> => {
  const key = { owner, conversationId: DEMO.conversationId };
  const now = clock.now();
  const messageId = store.toMessageId(key, DEMO.conversationId);
  const answer = await store.begin({
    ...key,
    requestId: DEMO.requestId,
    fingerprint: 'demo',
    messageId,
    userMessage: { role: 'user', id: `${messageId}_question`, content: QUESTION, createdAt: now },
    model: MODEL,
    promptTokens: OUTCOME.usage.promptTokens,
    createdAt: now,
    expectedVersion: 0,
    cut: { position: 0, droppedTurns: 0 },
    instance,
  });
  if (answer.type !== 'begun') return messageId;
  const text = PIECES.join('');
  const events: readonly ReplyEvent[] = [...toDeltas(PIECES), toReplyEnd(text, OUTCOME, now)];
  const message: AssistantMessage = {
    role: 'assistant',
    id: messageId,
    content: text,
    createdAt: now,
    requestId: DEMO.requestId,
    model: MODEL,
    seq: events.length,
    outcome: OUTCOME,
  };
  await store.finish({ messageId, token: answer.token, seq: 1, events, message });
  return messageId;
};

const toDeltas = (pieces: readonly string[]): readonly ReplyEvent[] =>
  pieces.map((text, index) => ({
    type: 'text-delta',
    channel: 'content',
    at: pieces.slice(0, index).join('').length,
    text,
  }));
