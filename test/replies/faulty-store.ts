import { StorageFullError, StorageUnavailableError } from '../../src/errors.ts';
import type {
  Append,
  AppendAnswer,
  Begin,
  ChatStore,
  Closing,
  ConversationKey,
  ConversationPatch,
  Finish,
  Lease,
  MessageRange,
  NewConversation,
  PageRequest,
  PositionRange,
  RenewAnswer,
  Summary,
} from '../../src/stores/chat-store.ts';

/** What happens to one call: `work` is what the store would do. */
export type Fault = <T>(work: () => Promise<T>) => Promise<T>;

/** The store does nothing, and says so. */
export const unavailable: Fault = () => Promise.reject(new StorageUnavailableError('The store is away.'));
export const full: Fault = () => Promise.reject(new StorageFullError('The store is full.'));

/** The store does it, but its answer is lost. */
export const lostAnswer: Fault = async (work) => {
  await work();
  throw new StorageUnavailableError('The answer was lost.');
};

/** The store says that it has done it, and has lost it: an append of one reply. */
// The answer to that one kind of call.
export const acknowledgedAndLost: Fault = async <T>() => [{ type: 'ok' }] as T;

export const works: Fault = (work) => work();

export type Operation = 'append' | 'finish' | 'cancel' | 'renew' | 'readLog' | 'seal';

/** A held call: the store has not seen it yet (`before`), or its answer is still under way (`after`). */
export interface Gate {
  readonly fault: Fault;
  readonly open: () => void;
}

export const gate = (when: 'before' | 'after'): Gate => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const fault: Fault = async (work) => {
    if (when === 'before') await promise;
    const answer = await work();
    if (when === 'after') await promise;
    return answer;
  };
  return { fault, open: resolve };
};

/** A store whose calls a test can delay, fail, or answer itself. What it is not told about works. */
export class FaultyStore implements ChatStore {
  readonly #store: ChatStore;
  readonly #next: Record<Operation, Fault[]> = { append: [], finish: [], cancel: [], renew: [], readLog: [], seal: [] };
  #always: Partial<Record<Operation, Fault>> = {};
  #appending = 0;
  /** Every append call, in order. */
  readonly appends: (readonly Append[])[] = [];
  readonly finishes: Finish[] = [];
  readonly renewals: (readonly Lease[])[] = [];
  /** The most append calls that were in flight at once. */
  mostAppending = 0;
  /** Answers every append and finish, instead of the store. */
  answer: AppendAnswer | undefined;
  renewAnswer: RenewAnswer | undefined;

  constructor(store: ChatStore) {
    this.#store = store;
  }

  /** What happens to the next calls of an operation, one after the other. */
  next(operation: Operation, ...faults: readonly Fault[]): void {
    this.#next[operation].push(...faults);
  }

  /** What happens to all calls of these operations, until it is mended. */
  always(fault: Fault, ...operations: readonly Operation[]): void {
    for (const operation of operations) this.#always[operation] = fault;
  }

  /** Forgets what was to happen to the next calls. */
  clearFaults(): void {
    for (const faults of Object.values(this.#next)) faults.length = 0;
  }

  mend(): void {
    this.#always = {};
    this.answer = undefined;
    this.renewAnswer = undefined;
  }

  async append(appends: readonly Append[]): Promise<readonly AppendAnswer[]> {
    this.appends.push(appends);
    this.#appending += 1;
    this.mostAppending = Math.max(this.mostAppending, this.#appending);
    const { answer } = this;
    try {
      return await this.#meet('append', async () => (answer ? appends.map(() => answer) : this.#store.append(appends)));
    } finally {
      this.#appending -= 1;
    }
  }

  async finish(finish: Finish): Promise<AppendAnswer> {
    this.finishes.push(finish);
    const { answer } = this;
    return this.#meet('finish', async () => answer ?? this.#store.finish(finish));
  }

  cancel(closing: Closing) {
    return this.#meet('cancel', () => this.#store.cancel(closing));
  }

  async renew(leases: readonly Lease[]): Promise<readonly RenewAnswer[]> {
    this.renewals.push(leases);
    const answer = this.renewAnswer;
    return this.#meet('renew', async () => (answer ? leases.map(() => answer) : this.#store.renew(leases)));
  }

  seal(closing: Closing) {
    return this.#meet('seal', () => this.#store.seal(closing));
  }

  readLog(messageId: string, after: number, limit: number) {
    return this.#meet('readLog', () => this.#store.readLog(messageId, after, limit));
  }

  ping = () => this.#store.ping();
  findRisks = () => this.#store.findRisks();
  listConversations = (owner: string, page: PageRequest) => this.#store.listConversations(owner, page);
  updateConversation = (key: ConversationKey, patch: ConversationPatch) => this.#store.updateConversation(key, patch);
  toMessageId = (key: ConversationKey, random: string) => this.#store.toMessageId(key, random);
  watch = (messageId: string, onNudge: () => void) => this.#store.watch(messageId, onNudge);
  createConversation = (conversation: NewConversation) => this.#store.createConversation(conversation);
  loadConversation = (key: ConversationKey) => this.#store.loadConversation(key);
  loadMessages = (key: ConversationKey, range: MessageRange) => this.#store.loadMessages(key, range);
  keepSummary = (key: ConversationKey, summary: Summary, replaced: readonly PositionRange[]) =>
    this.#store.keepSummary(key, summary, replaced);
  deleteConversation = (key: ConversationKey) => this.#store.deleteConversation(key);
  open = (key: ConversationKey, requestId: string) => this.#store.open(key, requestId);
  begin = (begin: Begin) => this.#store.begin(begin);
  findAbandoned = (limit: number) => this.#store.findAbandoned(limit);
  loadReply = (messageId: string) => this.#store.loadReply(messageId);
  loadReplyMessage = (messageId: string) => this.#store.loadReplyMessage(messageId);

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store[Symbol.asyncDispose]();
  }

  #meet<T>(operation: Operation, work: () => Promise<T>): Promise<T> {
    const fault = this.#next[operation].shift() ?? this.#always[operation];
    return fault ? fault(work) : work();
  }
}
