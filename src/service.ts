import { systemClock, systemIds } from './system.ts';
import type { Clock, Ids } from './clock.ts';
import type { Config } from './config.ts';
import { Deadlines } from './deadlines.ts';
import { LLMChatService } from './chat/llm-chat-service.ts';
import { ModelDirectory } from './chat/model-directory.ts';
import { ElizaProvider } from './providers/eliza.ts';
import { OllamaProvider } from './providers/ollama/ollama-provider.ts';
import { withFormat } from './providers/with-format.ts';
import { withRetry } from './providers/with-retry.ts';
import { Replies, type ReplyLog } from './replies/replies.ts';
import { DEFAULT_RETENTION } from './stores/chat-store.ts';
import { openSqliteStore } from './stores/sqlite/open-sqlite-store.ts';
import { createLog, type Log } from './telemetry/log.ts';

/** What stands in the place of the machine's own: time and randomness, and where the log goes. */
export interface Surroundings {
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
  /** Shared with who else has clocks to look at; by default the service has its own. */
  readonly deadlines: Deadlines;
}

/**
 * The service without a wire, built from the settings: import it into an app of your own, or let `app.ts` put
 * socket and HTTP in front of it. Await `initialize()` before use, and `close()` at the end.
 * @throws StorageUnavailableError when the data folder cannot be used
 */
export const openChatService = async (config: Config, given: Partial<Surroundings> = {}): Promise<LLMChatService> => {
  const { clock = systemClock, ids = systemIds, log = createLog({ level: config.logLevel, pretty: false }) } = given;
  const instance = ids.newId();
  const deadlines = given.deadlines ?? new Deadlines(clock);
  const store = await openSqliteStore({
    dataDir: config.dataDir,
    clock,
    ids,
    instance,
    retention: { ...DEFAULT_RETENTION, conversationMs: config.conversationTtlMs },
    onSweepError: (err) => log.warn({ err }, 'what has expired could not be removed; it is tried again in a minute'),
  });
  const ollama = new OllamaProvider({
    baseUrl: config.ollamaBaseUrl,
    isAddressShown: config.nodeEnv !== 'production',
    contextWindow: config.contextWindow,
    keepAlive: config.keepAlive,
    silenceMs: config.timeoutMs,
    loadTimeoutMs: config.loadTimeoutMs,
    clock,
    deadlines,
    log,
  });
  const provider = withFormat(withRetry(ollama, { clock, ids, maxRetries: config.maxRetries }));
  const models = new ModelDirectory({
    provider,
    ...(config.nodeEnv !== 'production' && { fallback: new ElizaProvider({ clock, ids, standsInFor: config.model }) }),
    defaultModel: config.model,
    allowedModels: config.models,
  });
  const replies = new Replies({ store, clock, deadlines, turnTimeoutMs: config.turnTimeoutMs, log: toReplyLog(log) });
  return new LLMChatService({
    store,
    replies,
    models,
    clock,
    ids,
    policy: { maxTurns: config.maxTurns, systemPrompt: config.systemPrompt, think: config.think },
    maxTokens: config.maxTokens,
    instance,
    onError: (error) => log.error({ err: error }, 'unexpected error'),
    onClose: async () => {
      if (!given.deadlines) deadlines[Symbol.dispose]();
      await ollama[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    },
  });
};

/** What an operator sees of replies: ids, states and figures, never what was said. */
const toReplyLog = (log: Log): ReplyLog => ({
  onUnexpected: (error) => log.error({ err: error }, 'unexpected error in a reply'),
  onEnd: ({ messageId, model }, { state, finishReason, failure, usage, timings }) =>
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
    ),
  onSealed: (count) => log.warn({ count }, 'ended replies whose process was gone; their text is kept'),
});
