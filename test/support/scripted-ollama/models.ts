import { createHash } from 'node:crypto';

export type Capability = 'completion' | 'tools' | 'thinking' | 'vision' | 'insert' | 'embedding';

/**
 * What a trailing assistant message does: `continues` to the letter, `closes` the turn and begins anew, `trims` its
 * white space before it continues, `refuses` it with a 400, `echoes` it before it continues.
 */
export type Prefill = 'continues' | 'closes' | 'trims' | 'refuses' | 'echoes';

export interface ScriptedModel {
  /** With its tag, as `/api/tags` lists it. */
  readonly name: string;
  readonly capabilities: readonly Capability[];
  /** The trained length: the cap of every `num_ctx`. */
  readonly contextLength: number;
  /** In force when a request names no `num_ctx`. */
  readonly defaultContext: number;
  /** How much text is a token: what `prompt_eval_count` is counted with. */
  readonly bytesPerToken: number;
  /** How long a load takes. */
  readonly loadMs: number;
  /** 64 hex digits. */
  readonly digest: string;
  readonly sizeBytes: number;
  readonly prefill: Prefill;
  /** Whether `_debug_render_only` is understood; false: the field is ignored and a reply is made. */
  readonly rendersDebug: boolean;
  readonly modifiedAt: string;
}

export type ModelOptions = Partial<ScriptedModel> & { readonly name: string };

const DEFAULT_CONTEXT = 4096; // Ollama's own on a machine with little memory

/** Fills in what a test did not care to say; the digest follows from the name. */
export function createModel(options: ModelOptions): ScriptedModel {
  const contextLength = options.contextLength ?? 2048;
  const capabilities = options.capabilities ?? ['completion'];
  return {
    capabilities,
    contextLength,
    defaultContext: Math.min(DEFAULT_CONTEXT, contextLength),
    bytesPerToken: 4,
    loadMs: 0,
    digest: createHash('sha256').update(options.name).digest('hex'),
    sizeBytes: 1_208_665,
    prefill: capabilities.includes('thinking') ? 'continues' : 'closes',
    rendersDebug: true,
    modifiedAt: '2026-11-21T03:35:27.962075889Z',
    ...options,
    name: withTag(options.name),
  };
}

/** The models of a scripted Ollama whose test names none; the first two are those of the recordings. */
export const defaultModels: readonly ModelOptions[] = [
  { name: 'tiny-chat', capabilities: ['completion', 'tools', 'thinking'] },
  { name: 'tiny-plain', capabilities: ['completion'] },
  { name: 'tiny-vision', capabilities: ['completion', 'vision'] },
];

/** `llama3` and `llama3:latest` are one model. */
export const withTag = (name: string): string => (/:[^/]*$/.test(name) ? name : `${name}:latest`);

/** The name with host and namespace, as the refusal of tools says it. */
export function fullName(name: string): string {
  const parts = withTag(name).split('/');
  return [...['registry.ollama.ai', 'library'].slice(0, Math.max(0, 3 - parts.length)), ...parts].join('/');
}

/** Whether Ollama would take this as a model's name at all. */
export const isModelName = (name: string): boolean =>
  /^(?:https?:\/\/)?[\w][\w.-]*(?::\d+)?(?:\/[\w][\w.-]*)*(?::[\w][\w.-]*)?$/.test(name);

export const hasCapability = (model: ScriptedModel, capability: Capability): boolean =>
  model.capabilities.includes(capability);
