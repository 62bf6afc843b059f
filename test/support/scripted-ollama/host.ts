import type { Ledger } from './ledger.ts';
import { isModelName, type ScriptedModel, withTag } from './models.ts';
import { HttpRefusal } from './http-refusal.ts';
import type { Scheduler } from './scheduler.ts';
import type { PullStep } from './script.ts';
import type { ScriptBook } from './script-book.ts';

/**
 * How too long prompts are treated: `may` (v0.25–0.29) refuses in plain words with `truncate: false` and else cuts to
 * the window; `rendered` (newer) refuses with a nested text, or cuts to half; `native` (newer) always refuses.
 */
export type Engine = 'may' | 'rendered' | 'native';

/** What the parts of one scripted Ollama share. */
export interface Host {
  readonly models: Map<string, ScriptedModel>;
  readonly scheduler: Scheduler;
  readonly book: ScriptBook;
  readonly ledger: Ledger;
  /** How the next downloads go; the usual way where there is none. */
  readonly pulls: (readonly PullStep[])[];
  readonly engine: Engine;
  readonly version: string;
  /** Ollama's own process dies, and with it all runners. */
  readonly die: () => void;
  /** Between two tokens, where no script says otherwise. */
  paceMs: number;
}

/** The model of that name; throws Ollama's refusal for a name that is empty, impossible or unknown. */
export function findModel(host: Host, name: string): ScriptedModel {
  if (name === '') throw new HttpRefusal(400, 'model is required');
  if (!isModelName(name)) throw new HttpRefusal(400, 'invalid model name');
  const model = host.models.get(withTag(name));
  if (!model) throw new HttpRefusal(404, `model '${name}' not found`);
  return model;
}
