import { systemClock, systemIds } from './system.ts';
import type { Clock, Ids } from './clock.ts';
import type { Config } from './config.ts';
import { Deadlines } from './deadlines.ts';
import { LLMChatService } from './chat/llm-chat-service.ts';
import { ModelDirectory } from './chat/model-directory.ts';
import type { SummaryPolicy } from './chat/summaries.ts';
import { ElizaProvider } from './providers/eliza.ts';
import { isSameModel } from './conversation/model-name.ts';
import { OllamaProvider } from './providers/ollama/ollama-provider.ts';
import { provideModel } from './providers/ollama/provide-model.ts';
import { withAutoPull } from './providers/ollama/with-auto-pull.ts';
import { withFormat } from './providers/with-format.ts';
import { RetryBudget } from './providers/retry-budget.ts';
import { withRetry } from './providers/with-retry.ts';
import { FairQueue } from './limits/fair-queue.ts';
import { HostLimiters } from './limits/host-limiter.ts';
import { Quota } from './limits/quota.ts';
import { Replies, type ReplyLog } from './replies/replies.ts';
import type { CallerLimits } from './stores/caller-limits.ts';
import { DEFAULT_RETENTION, type ChatStore } from './stores/chat-store.ts';
import { MemoryCallerLimits } from './stores/memory-caller-limits.ts';
import { openRedisStore } from './stores/redis/open-redis-store.ts';
import { openSqliteStore } from './stores/sqlite/open-sqlite-store.ts';
import { withTiming } from './stores/timed-store.ts';
import { createLog, type Log } from './telemetry/log.ts';
import type { ReplyFigures } from './telemetry/metrics.ts';
import type { DownloadFigures } from './telemetry/progress-bar.ts';

/** What stands in the place of the machine's own: time and randomness, and where the log goes. */
export interface Surroundings {
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
  /** Shared with who else has clocks to look at; by default the service has its own. */
  readonly deadlines: Deadlines;
  /** Told of what is worth counting. */
  readonly observer: ServiceObserver;
  /** Told how far downloads of models are, for who draws it. */
  readonly onDownload: (figures: DownloadFigures) => void;
}

/** Counts what happens; `Metrics` is one. */
export interface ServiceObserver {
  countRequest(outcome: string): void;
  countReply(figures: ReplyFigures): void;
  timeStore(operation: string, result: 'ok' | 'error', seconds: number): void;
}

/** Nobody waits longer for hosts that are away: who is back in time is met within 2 s. */
const LONGEST_AWAY_MS = 20_000;

/**
 * The service without a wire, built from the settings: import it into an app of your own, or let `app.ts` put
 * socket and HTTP in front of it. Await `initialize()` before use, and `close()` at the end.
 * @throws StorageUnavailableError when the data folder cannot be used
 */
export const openChatService = async (config: Config, given: Partial<Surroundings> = {}): Promise<LLMChatService> => {
  const { clock = systemClock, ids = systemIds, log = createLog({ level: config.logLevel, pretty: false }) } = given;
  const { observer } = given;
  const instance = ids.newId();
  const deadlines = given.deadlines ?? new Deadlines(clock);
  const { store: opened, limits } = await openStore(config, { clock, ids, instance, log });
  const store = observer ? withTiming(opened, clock, (...timing) => observer.timeStore(...timing)) : opened;
  const limiters = new HostLimiters(config.hostRate);
  const ollama = new OllamaProvider({
    baseUrls: config.ollamaBaseUrls,
    isAddressShown: config.nodeEnv !== 'production',
    contextWindow: config.contextWindow,
    keepAlive: config.keepAlive,
    silenceMs: config.timeoutMs,
    loadTimeoutMs: config.loadTimeoutMs,
    clock,
    ids,
    deadlines,
    log,
    runChore: (host, load) => limiters.of(host).runChore(load),
  });
  const auto = config.autoPull
    ? withAutoPull(ollama, {
        contextWindow: config.contextWindow,
        clock,
        log,
        chooseTarget: () => ollama.pullTarget,
        runPull: (host, pull) => limiters.of(host).runPull(pull),
        ...(given.onDownload && { onFigures: given.onDownload }),
      })
    : undefined;
  const hasOtherHost = ollama.hasOtherHost.bind(ollama);
  const budget = new RetryBudget(clock, config.ollamaBaseUrls.length * config.concurrency);
  const provider = withFormat(
    withRetry(auto?.provider ?? ollama, { clock, ids, maxRetries: config.maxRetries, budget, hasOtherHost }),
  );
  const models = new ModelDirectory({
    provider,
    board: ollama,
    ...(config.nodeEnv !== 'production' && { fallback: new ElizaProvider({ clock, ids, standsInFor: config.model }) }),
    defaultModel: config.model,
    allowedModels: config.models,
  });
  const labels = [...config.models, models.fallbackName ?? ''];
  const replyLog = toReplyLog(log, observer, (model) => labels.find((label) => isSameModel(label, model)) ?? 'other');
  const replies = new Replies({ store, clock, deadlines, turnTimeoutMs: config.turnTimeoutMs, log: replyLog });
  const allowance = { requestsPerMinute: config.rateLimit, maxConcurrent: config.maxConcurrent };
  const quota = new Quota(limits, allowance, clock);
  const queue = new FairQueue({
    clock,
    board: ollama,
    slots: config.concurrency,
    limit: config.queueLimit,
    timeoutMs: config.queueTimeoutMs,
    awayTimeoutMs: Math.min(config.timeoutMs, LONGEST_AWAY_MS),
    ...(config.hostRate !== undefined && {
      admit: (host: string, signal: AbortSignal) => limiters.of(host).takeReply(signal),
    }),
  });
  const provided = auto && provideModel(auto.provider, ollama, config.model);
  if (config.preload) {
    const isThere = provided?.done ?? Promise.resolve(true);
    void isThere.then((known) => (known ? ollama.preload(config.model) : undefined));
  }
  return new LLMChatService({
    store,
    replies,
    models,
    clock,
    ids,
    policy: { maxTurns: config.maxTurns, systemPrompt: config.systemPrompt, think: config.think },
    maxTokens: config.maxTokens,
    instance,
    queue,
    quota,
    ...(config.summarize && { summaries: toSummaryPolicy(config, log) }),
    onRequest: (outcome) => observer?.countRequest(outcome),
    onError: (error) => log.error({ err: error }, 'unexpected error'),
    onClose: async () => {
      quota[Symbol.dispose]();
      if (!given.deadlines) deadlines[Symbol.dispose]();
      queue[Symbol.dispose]();
      provided?.[Symbol.dispose]();
      auto?.pulls[Symbol.dispose]();
      await ollama[Symbol.asyncDispose]();
      limiters[Symbol.dispose]();
      await store[Symbol.asyncDispose]();
    },
  });
};

/** Redis where there is one, else a file of this process alone. */
const openStore = async (
  { redisUrl, dataDir, conversationTtlMs }: Config,
  parts: { readonly clock: Clock; readonly ids: Ids; readonly instance: string; readonly log: Log },
): Promise<{ readonly store: ChatStore; readonly limits: CallerLimits }> => {
  const retention = { ...DEFAULT_RETENTION, conversationMs: conversationTtlMs };
  if (redisUrl !== undefined) {
    const redis = await openRedisStore({ ...parts, url: redisUrl, retention });
    for (const risk of await redis.store.findRisks()) parts.log.warn({ risk }, 'what is in Redis is at risk');
    return redis;
  }
  const onSweepError = (err: unknown): void =>
    parts.log.warn({ err }, 'what has expired could not be removed; it is tried again in a minute');
  const store = await openSqliteStore({ ...parts, dataDir, retention, onSweepError });
  return { store, limits: new MemoryCallerLimits(parts.clock) };
};

const toSummaryPolicy = ({ turnTimeoutMs }: Config, log: Log): SummaryPolicy => ({
  timeoutMs: turnTimeoutMs,
  onFailure: ({ messageId, model }, err) =>
    log.warn({ messageId, model, err }, 'what is left out of the prompts could not be summed up'),
});

/** What an operator sees of replies: ids, states and figures, never what was said. */
const toReplyLog = (log: Log, observer: ServiceObserver | undefined, toLabel: (model: string) => string): ReplyLog => ({
  onUnexpected: (error) => log.error({ err: error }, 'unexpected error in a reply'),
  onEnd: ({ messageId, model }, { state, finishReason, failure, usage, timings }) => {
    // A caller may write a model's name in many ways: what is counted has the name of the settings.
    observer?.countReply({ model: toLabel(model), outcome: failure?.code ?? state, ...usage, ...timings });
    log[failure ? 'warn' : 'info'](
      {
        messageId,
        model,
        state,
        finishReason,
        code: failure?.code,
        completionTokens: usage.completionTokens,
        ...timings,
      },
      'reply ended',
    );
  },
  onSealed: (count) => log.warn({ count }, 'ended replies whose process was gone; their text is kept'),
});
