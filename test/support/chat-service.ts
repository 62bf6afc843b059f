import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LLMChatService } from '../../src/chat/llm-chat-service.ts';
import { parseConfig, type Variables } from '../../src/config.ts';
import { openChatService, type Surroundings } from '../../src/service.ts';
import { ScriptedOllama, type ScriptedOllamaOptions } from './scripted-ollama/scripted-ollama.ts';

/** A service without a wire, before a scripted Ollama, on a folder of its own. */
export interface ChatRig extends AsyncDisposable {
  readonly chat: LLMChatService;
  readonly ollama: ScriptedOllama;
  /** Closes the service and opens it again on the same folder, as after a restart. */
  reopen(settings?: Variables): Promise<LLMChatService>;
}

/** Limits that no test meets by accident. */
export const PLENTY = {
  LLM_RATE_LIMIT: '100000',
  LLM_MAX_CONCURRENT: '1000',
  LLM_CONCURRENCY: '8',
  LLM_QUEUE_LIMIT: '1000',
};

export interface ChatRigOptions {
  readonly settings?: Variables;
  readonly ollama?: ScriptedOllamaOptions;
  readonly surroundings?: Partial<Surroundings>;
}

export const openChatRig = async ({
  settings = {},
  ollama: options = {},
  surroundings,
}: ChatRigOptions = {}): Promise<ChatRig> => {
  const ollama = await ScriptedOllama.start(options);
  const dataDir = await mkdtemp(join(tmpdir(), 'chat-'));
  const open = async (more: Variables = {}): Promise<LLMChatService> => {
    const config = parseConfig({
      OLLAMA_BASE_URL: ollama.url,
      LLM_MODEL: 'tiny-chat',
      LOG_LEVEL: 'silent',
      DATA_DIR: dataDir,
      ...PLENTY,
      ...settings,
      ...more,
    });
    const chat = await openChatService(config, surroundings);
    await chat.initialize();
    return chat;
  };
  let chat = await open();
  return {
    get chat() {
      return chat;
    },
    ollama,
    async reopen(more) {
      await chat.close();
      chat = await open(more);
      return chat;
    },
    async [Symbol.asyncDispose]() {
      await chat.close();
      await ollama.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
};
