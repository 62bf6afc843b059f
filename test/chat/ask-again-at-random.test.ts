import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { GenerateOptions } from '../../src/chat/chat-request.ts';
import type { ChatRig } from '../support/chat-service.ts';
import type { Step } from '../support/scripted-ollama/scripted-ollama.ts';
import { cutShort, failing, idOf, lastSent, list, openAgainRig, saying, toDroppedTurns } from './again-rig.ts';

/** How a reply ends. */
type Ending = 'whole' | 'cut-short' | 'in-vain';
interface Action {
  readonly name: 'ask' | 'regenerate' | 'edit' | 'continue' | 'regenerate-failed' | 'edit-failed';
  readonly ending: Ending;
  /** Which turn it is about, counted round and round. */
  readonly turn: number;
}

interface Turn {
  readonly question: string;
  readonly answer: string;
  readonly messageId: string;
  readonly isCutShort: boolean;
}

/** What was tried in vain last: it is done when it is asked for again. */
interface Attempt {
  readonly messageId: string;
  /** So many turns stay before it. */
  readonly keeps: number;
  /** So many turns there were. */
  readonly turns: number;
  readonly question: string;
  /** Whether its question is one that only this attempt has asked. */
  readonly isNewQuestion: boolean;
}

const MAX_TURNS = 4;

/** A conversation as it has to be: a plain list of turns, from whose end turns are taken and put. */
class Model {
  turns: readonly Turn[] = [];
  failed: Attempt | undefined;
  readonly seen: object[] = [];
  readonly expected: object[] = [];
  #words = 0;
  readonly #rig: ChatRig;

  constructor(rig: ChatRig) {
    this.#rig = rig;
  }

  async act({ name, ending, turn: index }: Action): Promise<void> {
    const at = this.turns.length === 0 ? 0 : index % this.turns.length;
    const turn = this.turns[at];
    const { failed } = this;
    const last = this.turns.at(-1);
    if (name === 'ask') return this.#try(ending, { keeps: this.turns.length, question: this.#word('q') }, {});
    if (name === 'regenerate' && turn)
      return this.#try(ending, { keeps: at, question: turn.question }, { regenerate: turn.messageId });
    if (name === 'edit' && turn) {
      const edit = await idOf(this.#rig.chat, turn.question);
      return this.#try(ending, { keeps: at, question: this.#word('q') }, { edit });
    }
    if (name === 'regenerate-failed' && failed)
      return this.#try(ending, failed, { regenerate: failed.messageId }, failed.isNewQuestion);
    if (name === 'edit-failed' && failed?.isNewQuestion) {
      const edit = await idOf(this.#rig.chat, failed.question);
      return this.#try(ending, { ...failed, question: this.#word('q') }, { edit });
    }
    if (name === 'continue' && last?.isCutShort) return this.#goOn(last, ending);
  }

  async #try(
    ending: Ending,
    { keeps, question, turns: again }: Pick<Attempt, 'keeps' | 'question'> & Partial<Attempt>,
    options: GenerateOptions,
    isNewQuestion = options.regenerate === undefined,
  ): Promise<void> {
    const answer = this.#word('A');
    const message = options.regenerate === undefined ? question : '';
    const { messageId, droppedTurns } = await this.#send(message, options, toSteps(answer, ending));
    this.#note(keeps, question, droppedTurns);
    if (ending === 'in-vain') {
      this.failed = { messageId, keeps, turns: this.turns.length, question, isNewQuestion };
      return;
    }
    const turn = { question, answer, messageId, isCutShort: ending === 'cut-short' };
    this.turns = [...this.turns.slice(0, keeps), turn];
    if (this.failed && (keeps < this.failed.turns || again !== undefined)) this.failed = undefined; // it was replaced with the rest
  }

  async #goOn(last: Turn, ending: Ending): Promise<void> {
    const more = this.#word('+');
    const { droppedTurns } = await this.#send('', { continue: last.messageId }, toSteps(more, ending));
    this.#note(this.turns.length - 1, last.question, droppedTurns);
    const grown = { ...last, answer: ending === 'in-vain' ? last.answer : last.answer + more };
    this.turns = [...this.turns.slice(0, -1), { ...grown, isCutShort: ending !== 'whole' }];
  }

  /** What was sent has to be the question behind the newest of the turns before it, and who asks is told of the others. */
  #note(keeps: number, question: string, droppedTurns: number): void {
    const sent = lastSent(this.#rig);
    const keptTurns = (sent.length - 1) / 2;
    const history = toTexts(this.turns.slice(keeps - keptTurns, keeps));
    const isInBounds = keptTurns < MAX_TURNS && (keptTurns > 0 || keeps === 0);
    this.seen.push({ sent, droppedTurns, isInBounds });
    this.expected.push({ sent: [...history, question], droppedTurns: keeps - keptTurns, isInBounds: true });
  }

  /** The messages in force, without those of turns that failed. */
  async readMessages(): Promise<readonly string[]> {
    const texts = new Set(toTexts(this.turns));
    const active = (await list(this.#rig.chat)).filter((message) => message.active);
    return active.map(({ content }) => content).filter((content) => texts.has(content));
  }

  async #send(message: string, options: GenerateOptions, steps: readonly Step[]) {
    const { chat, ollama } = this.#rig;
    ollama.next(steps);
    const answer = await chat.generateResponse('c1', message, options);
    const { messageId } = answer;
    if (messageId === undefined) throw new Error('it was refused');
    return { messageId, droppedTurns: await toDroppedTurns(this.#rig, messageId) };
  }

  #word(letter: string): string {
    this.#words += 1;
    return `${letter}${this.#words}`;
  }
}

const toTexts = (turns: readonly Turn[]): readonly string[] =>
  turns.flatMap(({ question, answer }) => [question, answer]);

const toSteps = (text: string, ending: Ending): readonly Step[] => {
  if (ending === 'in-vain') return failing();
  return ending === 'whole' ? saying(text) : cutShort(text);
};

const action = fc.record<Action>({
  name: fc.constantFrom('ask', 'ask', 'regenerate', 'edit', 'continue', 'regenerate-failed', 'edit-failed'),
  ending: fc.constantFrom('whole', 'cut-short', 'in-vain'),
  turn: fc.nat(20),
});

describe('a conversation in which is asked again, whatever and however often', () => {
  it('is to the model the plain list of turns that its people see', async () => {
    const property = fc.asyncProperty(fc.array(action, { minLength: 10, maxLength: 40 }), async (actions) => {
      await using rig = await openAgainRig({ LLM_MAX_TURNS: String(MAX_TURNS) });
      const model = new Model(rig);
      await model.act({ name: 'ask', ending: 'whole', turn: 0 });
      for (const each of actions) await model.act(each);
      expect(model.seen).toEqual(model.expected);
      expect(await model.readMessages()).toEqual(toTexts(model.turns));
    });
    // Shrinking would ask thousands of times.
    await expect(fc.assert(property, { numRuns: 15, endOnFailure: true })).resolves.toBeUndefined();
  }, 60_000);
});
