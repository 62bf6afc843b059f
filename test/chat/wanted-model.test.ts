import { describe, expect, it } from 'vitest';
import { ModelDirectory } from '../../src/chat/model-directory.ts';
import { ElizaProvider } from '../../src/providers/eliza.ts';
import type { Conversation } from '../../src/stores/chat-store.ts';
import { systemIds } from '../../src/system.ts';
import { ScriptedBoard } from '../support/scripted-board.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

const directory = new ModelDirectory({
  provider: new ElizaProvider({ clock: new VirtualClock(), ids: systemIds, standsInFor: 'llama3' }),
  board: new ScriptedBoard(),
  defaultModel: 'llama3',
  allowedModels: ['llama3', 'tiny-chat', 'tiny-plain'],
});
const conversation = { model: 'Tiny-Chat' } as Conversation; // only its model is looked at

describe('the model that a request wants', () => {
  it.each([
    ['the one that it names', 'tiny-plain', conversation, 'tiny-plain:latest'],
    ['else the conversation’s', undefined, conversation, 'tiny-chat:latest'],
    ['else the default', undefined, undefined, 'llama3:latest'],
  ] as const)('is %s', (_which, named, asked, wanted) => {
    expect(directory.wanted(named, asked)).toBe(wanted);
  });

  it('has one name, however it is written: those who want it wait in one line', () => {
    const names = ['llama3', 'LLAMA3:latest', 'library/llama3', 'registry.ollama.ai/library/llama3:latest'];
    expect(new Set(names.map((name) => directory.wanted(name, undefined)))).toEqual(new Set(['llama3:latest']));
  });
});
