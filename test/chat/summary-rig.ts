import type { Clock } from '../../src/clock.ts';
import type { Reply } from '../../src/chat/results.ts';
import type { Variables } from '../../src/config.ts';
import type { ServiceObserver } from '../../src/service.ts';
import { systemClock } from '../../src/system.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { openChatRig, type ChatRig } from '../support/chat-service.ts';
import type { LedgerEntry, Turn } from '../support/scripted-ollama/scripted-ollama.ts';
import type { Steps } from '../support/scripted-ollama/script.ts';
import { saying } from './again-rig.ts';

export interface Sent {
  readonly role: string;
  readonly content: string;
}

export interface SummaryRig extends ChatRig {
  /** How summaries are made from now on; `S2` sums up what ends with `q2` by default. */
  summary: (() => Steps) | undefined;
  /** How replies are made from now on; `A2` answers `q2` by default. */
  answer: (() => Steps) | undefined;
  /** Every line of the log from warnings on. */
  readonly warnings: readonly string[];
  /** Resolves when so many summaries were offered to the store, all in all. */
  keptSummaries(count: number): Promise<void>;
}

const MAX_REQUESTS = 200;

/** A service that sums up, before an Ollama that is asked once: what fails has failed. */
export const openSummaryRig = async (settings: Variables = {}, clock: Clock = systemClock): Promise<SummaryRig> => {
  const calls = new Calls();
  const warnings: string[] = [];
  const log = createLog({ level: 'warn', pretty: false, destination: { write: (line) => void warnings.push(line) } });
  const observer: ServiceObserver = {
    countRequest: () => undefined,
    countReply: () => undefined,
    timeStore: (operation) => calls.count(operation),
  };
  const rig = await openChatRig({
    settings: { LLM_SUMMARIZE: 'true', LLM_MAX_RETRIES: '0', LLM_MAX_TURNS: '4', ...settings },
    ollama: { parallel: 8 },
    surroundings: { log, observer, clock },
  });
  const steps = ({ request: { messages } }: Turn): Steps =>
    isAboutSummary(messages)
      ? (summaryRig.summary?.() ?? saying(`S${toNumber(messages.at(-3))}`))
      : (summaryRig.answer?.() ?? saying(`A${toNumber(messages.at(-1))}`));
  rig.ollama.next(...Array.from({ length: MAX_REQUESTS }, () => ({ steps })));
  const summaryRig: SummaryRig = {
    summary: undefined,
    answer: undefined,
    get chat() {
      return rig.chat;
    },
    ollama: rig.ollama,
    reopen: (more) => rig.reopen(more),
    [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose](),
    warnings,
    keptSummaries: (count) => calls.until('keepSummary', count),
  };
  return summaryRig;
};

/** `q7` is the seventh. */
const toNumber = (question: Sent | undefined): string => question?.content.match(/^q(\w+)/)?.[1] ?? '';

/** Calls of the store, counted when they have settled. */
class Calls {
  readonly #counts = new Map<string, number>();
  readonly #waiting: { readonly operation: string; readonly count: number; readonly resolve: () => void }[] = [];

  count(operation: string): void {
    const count = (this.#counts.get(operation) ?? 0) + 1;
    this.#counts.set(operation, count);
    for (const each of this.#waiting) if (each.operation === operation && each.count <= count) each.resolve();
  }

  async until(operation: string, count: number): Promise<void> {
    if ((this.#counts.get(operation) ?? 0) >= count) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ operation, count, resolve });
    await promise;
  }
}

/** Asks `q1`, `q2` …, and gives the reply: `A1`, `A2` … */
export const askTurn = async ({ chat }: ChatRig, turn: number): Promise<Reply> => {
  const reply = await chat.generateResponse('c1', `q${turn}`);
  if (!reply.success) throw new Error(reply.error);
  return reply;
};

export const isAboutSummary = (messages: readonly Sent[]): boolean =>
  messages.at(-1)?.content.includes('Sum up our whole conversation') === true;

/** As Ollama takes it. */
export const toMessages = ({ body }: LedgerEntry): readonly Sent[] =>
  (Object(body) as { messages: readonly Sent[] }).messages;

/** The requests for summaries, oldest first. */
export const jobs = ({ ollama }: ChatRig): readonly LedgerEntry[] =>
  ollama.ledger.chats.filter((entry) => isAboutSummary(toMessages(entry)));

/** The prompts of replies, oldest first. */
export const prompts = ({ ollama }: ChatRig): readonly (readonly Sent[])[] =>
  ollama.ledger.chats.map(toMessages).filter((messages) => !isAboutSummary(messages));

/** Resolves when so many requests for summaries have ended. */
export const endedJobs = (rig: ChatRig, count: number): Promise<void> =>
  rig.ollama.ledger.until(() => jobs(rig).filter(({ endedAt }) => endedAt !== undefined).length >= count);
