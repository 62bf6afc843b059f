import { type ChatRequest, lastUserText, numberOption, parseChatRequest } from './chat-request.ts';
import { withEngineFaults } from './engine-faults.ts';
import type { Exchange } from './exchange.ts';
import { findModel, type Host } from './host.ts';
import { HttpRefusal } from './http-refusal.ts';
import { createModel, fullName, hasCapability, type ScriptedModel } from './models.ts';
import { play } from './player.ts';
import { countPromptTokens, renderPrompt } from './prompt.ts';
import { checkOptions } from './request-fields.ts';
import { type Runner, RunnerDied } from './runner.ts';
import type { Chosen } from './script-book.ts';
import type { Crash, Script } from './script.ts';
import { overLength, PREFILL_REFUSED, PROMPT_TOO_LONG, RUNNER_STOPPED } from './scripts/refusals.ts';
import { createTurn, envelope, prefillOf } from './turn.ts';

/** `POST /api/chat`. The checks come in Ollama's order: what is wrong twice is refused as Ollama refuses it. */
export async function answerChat(exchange: Exchange, host: Host): Promise<void> {
  const request = parseChatRequest(await exchange.readBody());
  const chosen = request.messages.length > 0 ? host.book.choose(request) : undefined;
  Object.assign(exchange.entry, {
    model: request.model,
    prompt: lastUserText(request.messages),
    script: chosen?.name,
  });
  if (chosen?.script.at === 'arrival') return playOnArrival({ exchange, host, request, script: chosen.script });
  const model = findModel(host, request.model);
  if (!chosen && request.keepAliveMs === 0) {
    host.scheduler.unload(model.name);
    return exchange.json(200, emptyAnswer(request, 'unload'));
  }
  checkCapabilities(request, model);
  checkOptions(request.options);
  await answerLoaded({ exchange, host, request, model, chosen });
}

interface Asked {
  readonly exchange: Exchange;
  readonly host: Host;
  readonly request: ChatRequest;
  readonly model: ScriptedModel;
}

async function answerLoaded({ chosen, ...asked }: Asked & { readonly chosen: Chosen | undefined }): Promise<void> {
  const { exchange, host, request, model } = asked;
  const runner = await host.scheduler.open({
    model,
    numCtx: numberOption(request, 'num_ctx'),
    keepAliveMs: request.keepAliveMs,
    load: chosen?.script.load,
    signal: exchange.signal,
  });
  try {
    if (!chosen) exchange.json(200, emptyAnswer(request, 'load'));
    else if (request.debugRenderOnly && model.rendersDebug) exchange.json(200, debugAnswer(request, model));
    else await inSlot(runner, { ...asked, script: chosen.script });
  } finally {
    if (!leaks(exchange, chosen?.script)) runner.leave();
    if (chosen?.script.killsRunner) host.scheduler.drop(runner);
  }
}

/** Waits for a slot, and gives it back whatever happens, unless the script leaks it. */
async function inSlot(runner: Runner, asked: Asked & { readonly script: Script }): Promise<void> {
  const { exchange, host, script } = asked;
  const loadMs = performance.now() - exchange.entry.arrivedAt; // all that was before the slot, as Ollama counts it
  const signal = AbortSignal.any([exchange.signal, runner.died]);
  try {
    await runner.slots.acquire(signal);
  } catch (error) {
    if (error instanceof RunnerDied) throw new HttpRefusal(500, noLongerRunning(host.engine));
    throw error;
  }
  host.ledger.setGenerating(exchange.entry, true);
  try {
    await generate({ ...asked, runner, signal, loadMs });
  } finally {
    if (leaks(exchange, script)) leak(runner, { exchange, host });
    else {
      runner.slots.release();
      host.ledger.setGenerating(exchange.entry, false);
    }
  }
}

interface Generation extends Asked {
  readonly script: Script;
  readonly runner: Runner;
  readonly signal: AbortSignal;
  readonly loadMs: number;
}

async function generate({ exchange, host, request, model, script, runner, signal, loadMs }: Generation): Promise<void> {
  const promptTokens = fit(request, countPromptTokens(request, model), { engine: host.engine, numCtx: runner.numCtx });
  if (model.prefill === 'refuses' && prefillOf(request) !== undefined)
    throw new HttpRefusal(400, PREFILL_REFUSED, true);
  const turn = createTurn({ request, model, numCtx: runner.numCtx, promptTokens, engine: host.engine });
  Object.assign(exchange.entry, { salt: turn.salt, promptTokens });
  const { steps } = script;
  const said = typeof steps === 'function' ? steps(turn) : steps;
  const faulty: Script = { ...script, steps: () => withEngineFaults(said, turn) };
  const onCrash = (who: Crash) => (who === 'serve' ? host.die() : host.scheduler.drop(runner));
  try {
    await play({ exchange, turn, script: faulty, paceMs: script.paceMs ?? host.paceMs, loadMs, signal, onCrash });
  } catch (error) {
    if (!(error instanceof RunnerDied) || exchange.signal.aborted) throw error;
    if (!exchange.hasBegun) throw new HttpRefusal(500, RUNNER_STOPPED, request.stream);
    const died = { error: 'an error was encountered while running the model: unexpected EOF' };
    await play({ exchange, turn, script: { steps: [died] }, paceMs: 0, loadMs, signal: exchange.signal, onCrash });
  }
}

/** For who waited for a slot of a runner that died. */
const noLongerRunning = (engine: Host['engine']): string =>
  `${engine === 'may' ? 'llama runner' : 'llama-server'} process no longer running: -1`;

async function playOnArrival(asked: Omit<Asked, 'model'> & { readonly script: Script }): Promise<void> {
  const { exchange, host, request, script } = asked;
  const model = createModel({ name: request.model || 'none' });
  const promptTokens = countPromptTokens(request, model);
  const turn = createTurn({ request, model, numCtx: model.defaultContext, promptTokens, engine: host.engine });
  Object.assign(exchange.entry, { salt: turn.salt, promptTokens });
  await play({ exchange, turn, script, paceMs: host.paceMs, loadMs: 0, signal: exchange.signal, onCrash: host.die });
}

function checkCapabilities({ think, tools, model: name }: ChatRequest, model: ScriptedModel): void {
  if (think !== undefined && think !== false && !hasCapability(model, 'thinking')) {
    throw new HttpRefusal(400, `"${name}" does not support thinking`);
  }
  if (tools.length > 0 && !hasCapability(model, 'tools')) {
    throw new HttpRefusal(400, `${fullName(name)} does not support tools`);
  }
  if (!hasCapability(model, 'completion')) throw new HttpRefusal(400, `"${name}" does not support chat`);
}

/** The tokens of the prompt that the model sees; throws the runner's refusal when they are too many. */
function fit(
  request: ChatRequest,
  tokens: number,
  { engine, numCtx }: { engine: Host['engine']; numCtx: number },
): number {
  if (tokens <= numCtx) return tokens;
  const refuse = (text: string) => new HttpRefusal(400, text, request.stream);
  if (engine === 'may') {
    if (request.truncate) return numCtx;
    throw refuse('the input length exceeds the context length');
  }
  if (engine === 'native' || !request.truncate) throw refuse(overLength(tokens, numCtx));
  if (!request.shift) throw refuse(PROMPT_TOO_LONG);
  return numCtx - Math.floor((numCtx - 4) / 2);
}

const leaks = (exchange: Exchange, script: Script | undefined): boolean =>
  script?.leaksSlot === true && exchange.signal.aborted && exchange.entry.outcome !== 'answered';

/** The slot is held until the runner goes. */
function leak(runner: Runner, { exchange, host }: Pick<Asked, 'exchange' | 'host'>): void {
  const giveBack = () => host.ledger.setGenerating(exchange.entry, false);
  runner.leaked++;
  if (runner.died.aborted) giveBack();
  else runner.died.addEventListener('abort', giveBack, { once: true });
}

const emptyAnswer = (request: ChatRequest, reason: 'load' | 'unload') =>
  envelope(request, { message: { role: 'assistant', content: '' }, done: true, done_reason: reason });

const debugAnswer = (request: ChatRequest, model: ScriptedModel) =>
  envelope(request, {
    message: { role: '', content: '' },
    done: false,
    _debug_info: { rendered_template: renderPrompt(request, model) },
  });
