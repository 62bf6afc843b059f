import { VirtualClock } from '../../test/support/virtual-clock.ts';
import { createRandom } from './random.ts';
import { SimulatedHost, type HostSpeed, type Question } from './simulated-host.ts';
import { WAYS, type Answering, type Way } from './ways.ts';

/** Of the evening in ARCHITECTURE.md. */
export const SEED = 7;

/** What is assumed; ARCHITECTURE.md says the same in a sentence. */
const EVENING_MS = 20 * 60_000;
const HOSTS = ['host 1', 'host 2', 'host 3'];
const SPEED: HostSpeed = { loadMs: 20_000, promptTokensPerSecond: 500, answerTokensPerSecond: 40 };
const CALLERS = 30;
/** They have so many conversations at once; the others have one. */
const EAGER_CALLERS = 3;
const EAGER_CONVERSATIONS = 4;
/** A longer conversation is begun anew. */
const LONGEST_TOKENS = 4_000;
const SYSTEM_TOKENS = 100;

/** What came of it. Waits are from the question to the first word of the answer, in milliseconds. */
export interface Figures {
  readonly way: string;
  /** Until the end of the evening. */
  readonly replies: number;
  readonly medianMs: number;
  readonly p95Ms: number;
  readonly longestMs: number;
  /** Of the callers, by their mean waits. */
  readonly bestCallerMs: number;
  readonly worstCallerMs: number;
  readonly loads: number;
  readonly evictions: number;
  /** Of the prompts, in tokens, what the host did not know from before; and what share of them this is. */
  readonly tokensRead: number;
  readonly shareRead: number;
}

interface Reply {
  readonly caller: string;
  readonly waitMs: number;
  readonly isInTime: boolean;
}

/** One evening in each of the ways: the same callers with the same questions and the same pauses. */
export const simulateEvenings = async (seed = SEED): Promise<readonly Figures[]> => {
  const figures: Figures[] = [];
  for (const way of WAYS) figures.push(await simulate(way, seed));
  return figures;
};

const simulate = async (way: Way, seed: number): Promise<Figures> => {
  const clock = new VirtualClock();
  const hosts = HOSTS.map((name) => new SimulatedHost(name, clock, SPEED));
  const answer = way.open({ clock, hosts, speed: SPEED });
  const replies: Reply[] = [];
  const talks = toTalkers(seed).map((talker) =>
    talk({ ...talker, clock, answer, onReply: (reply) => replies.push(reply) }),
  );
  const running = new Set(talks);
  for (const each of talks) void each.finally(() => running.delete(each));
  while (running.size > 0) await clock.advance(60_000); // who has asked is answered, also after the end
  await Promise.all(talks);
  return toFigures(way, replies, hosts);
};

interface Talker {
  readonly caller: string;
  readonly name: string;
  readonly model: string;
  readonly random: () => number;
}

/** Three of five conversations are with one model, two with the other. */
const toTalkers = (seed: number): readonly Talker[] =>
  Array.from({ length: CALLERS }, (_caller, index) => index)
    .flatMap((caller) => Array.from({ length: caller < EAGER_CALLERS ? EAGER_CONVERSATIONS : 1 }, () => caller))
    .map((caller, index) => ({
      caller: `caller ${caller}`,
      name: `conversation ${index}`,
      model: index % 5 < 3 ? 'small' : 'large',
      random: createRandom(seed * 1_000 + index),
    }));

interface Talk extends Talker {
  readonly clock: VirtualClock;
  readonly answer: Answering;
  readonly onReply: (reply: Reply) => void;
}

/** Asks, reads the answer, thinks, and asks again, until the evening ends. */
const talk = async ({ caller, name, model, random, clock, answer, onReply }: Talk): Promise<void> => {
  const between = (least: number, most: number): number => least + Math.floor(random() * (most - least));
  const endAt = clock.now() + EVENING_MS;
  let tokens = SYSTEM_TOKENS;
  await clock.sleep(between(0, 120_000));
  for (let begun = 0; clock.now() < endAt;) {
    const [questionTokens, answerTokens, chance] = [between(20, 200), between(50, 450), random()];
    if (tokens + questionTokens + answerTokens > LONGEST_TOKENS) [tokens, begun] = [SYSTEM_TOKENS, begun + 1];
    const promptTokens = tokens + questionTokens;
    const question: Question = { caller, model, conversation: `${name}.${begun}`, promptTokens, answerTokens, chance };
    const askedAt = clock.now();
    const waitMs = (await answer(question)) - askedAt;
    onReply({ caller, waitMs, isInTime: clock.now() <= endAt });
    tokens = promptTokens + answerTokens;
    await clock.sleep(between(30_000, 150_000));
  }
};

const toFigures = (way: Way, replies: readonly Reply[], hosts: readonly SimulatedHost[]): Figures => {
  const waits = replies.map(({ waitMs }) => waitMs).toSorted((one, other) => one - other);
  const byCaller = Map.groupBy(replies, ({ caller }) => caller);
  const means = [...byCaller.values()].map((own) => sum(own.map(({ waitMs }) => waitMs)) / own.length);
  const tokensRead = sum(hosts.map((host) => host.tokensRead));
  return {
    way: way.name,
    replies: replies.filter(({ isInTime }) => isInTime).length,
    medianMs: quantile(waits, 0.5),
    p95Ms: quantile(waits, 0.95),
    longestMs: quantile(waits, 1),
    bestCallerMs: Math.min(...means),
    worstCallerMs: Math.max(...means),
    loads: sum(hosts.map(({ loads }) => loads)),
    evictions: sum(hosts.map(({ evictions }) => evictions)),
    tokensRead,
    shareRead: tokensRead / sum(hosts.map(({ promptTokens }) => promptTokens)),
  };
};

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

const quantile = (sorted: readonly number[], share: number): number =>
  sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0;
