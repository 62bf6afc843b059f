import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LLMChatService } from '../../src/chat/llm-chat-service.ts';
import { parseConfig, type Variables } from '../../src/config.ts';
import { openChatService, type Surroundings } from '../../src/service.ts';
import { PLENTY } from '../support/chat-service.ts';
import { ScriptedOllama, type ScriptedOllamaOptions } from '../support/scripted-ollama/scripted-ollama.ts';

export interface HostsRigOptions {
  readonly settings?: Variables;
  /** One for each host. */
  readonly ollamas?: readonly ScriptedOllamaOptions[];
  /** The hosts that have the model in their memory from the start: all by default. */
  readonly loaded?: readonly number[];
  readonly surroundings?: Partial<Surroundings>;
}

/** A service without a wire before several scripted Ollamas: two by default. */
export class HostsRig implements AsyncDisposable {
  readonly chat: LLMChatService;
  readonly ollamas: readonly ScriptedOllama[];
  readonly #dataDir: string;

  private constructor(parts: { chat: LLMChatService; ollamas: readonly ScriptedOllama[]; dataDir: string }) {
    this.chat = parts.chat;
    this.ollamas = parts.ollamas;
    this.#dataDir = parts.dataDir;
  }

  static async open(options: HostsRigOptions = {}): Promise<HostsRig> {
    const { settings = {}, ollamas: given = [{}, {}], loaded, surroundings } = options;
    const ollamas = await Promise.all(given.map((each) => ScriptedOllama.start(each)));
    const warm = ollamas.filter((_ollama, index) => loaded?.includes(index) ?? true);
    await Promise.all(warm.map((ollama) => load(ollama, 'tiny-chat')));
    const dataDir = await mkdtemp(join(tmpdir(), 'hosts-'));
    const config = parseConfig({
      OLLAMA_BASE_URL: ollamas.map(({ url }) => url).join(),
      LLM_MODEL: 'tiny-chat',
      LLM_MODELS: 'tiny-plain',
      LOG_LEVEL: 'silent',
      DATA_DIR: dataDir,
      LLM_TIMEOUT: '1',
      LLM_LOAD_TIMEOUT: '5',
      ...PLENTY,
      ...settings,
    });
    const chat = await openChatService(config, surroundings);
    await chat.initialize();
    return new HostsRig({ chat, ollamas, dataDir });
  }

  /** By its place; throws where there is none. */
  ollama(index: number): ScriptedOllama {
    const found = this.ollamas[index];
    if (!found) throw new Error(`there is no host ${index}`);
    return found;
  }

  /** The replies that each host was asked for. */
  get asked(): readonly number[] {
    return this.ollamas.map(({ ledger }) => ledger.chats.length);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.chat.close();
    for (const ollama of this.ollamas) await ollama.stop();
    await rm(this.#dataDir, { recursive: true, force: true });
  }
}

/** As another client with the same options would have it loaded. */
export const load = async ({ url }: ScriptedOllama, model: string): Promise<void> => {
  const body = { model, messages: [], keep_alive: '30m', shift: false, options: { num_ctx: 2048 }, stream: false };
  await fetch(`${url}/api/chat`, { method: 'POST', body: JSON.stringify(body) });
};
