import { createGate, type Gate, type Script } from './scripted-ollama/scripted-ollama.ts';

export interface GatedReply {
  readonly script: Script;
  readonly gate: Gate;
}

/** A reply that stops behind its first words until the test opens the gate: `before` is heard, `after` is not yet. */
export const createGatedReply = (before = 'one two', after = ' three'): GatedReply => {
  const gate = createGate();
  const said = before === '' ? [] : [{ say: before }];
  return { gate, script: { steps: [...said, { waitFor: gate }, { say: after }, { done: true }] } };
};
