import { parseArgs } from 'node:util';
import { ScriptedOllama } from './scripted-ollama.ts';

// The scripted Ollama as a process, for hand trials and for tests that kill it: one line of JSON says where it listens.
const { values } = parseArgs({ options: { port: { type: 'string' }, pace: { type: 'string' } } });
const ollama = await ScriptedOllama.start({ port: Number(values.port ?? 0), paceMs: Number(values.pace ?? 0) });
process.stdout.write(`${JSON.stringify({ url: ollama.url })}\n`);

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void ollama.stop());
