import type { FairQueue } from '../limits/fair-queue.ts';
import type { Place } from '../limits/queued-place.ts';
import type { Charged, Quota } from '../limits/quota.ts';
import type { ModelLoading, Route } from '../providers/provider.ts';
import type { ReplySource, SourcePart } from '../replies/reply-writer.ts';

/** What a reply holds until it ends. */
export interface Turn {
  readonly charged: Charged;
  /** Absent where nobody has to wait: the fallback needs no host. */
  readonly place?: Place;
  /** Gets the model; absent where it is there. */
  readonly pull?: PullSource;
}

/** Tells how far the model is, until it is there. */
export type PullSource = (signal: AbortSignal) => AsyncIterable<ModelLoading>;

/** What a reply is written from: asked at the route's hosts where there is one. */
export type RoutedSource = (signal: AbortSignal, route?: Route) => ReturnType<ReplySource>;

/** What a request is charged under: its conversation and its id; the length keeps the two apart. */
export const toChargeName = ({ conversationId, requestId }: { conversationId: string; requestId: string }): string =>
  `${conversationId.length}:${conversationId}${requestId}`;

/** What the charge of a reply is named, once its request id may be free again: nobody can repeat that. */
export const toSpentName = ({ messageId, requestId }: { messageId: string; requestId: string }): string =>
  `${messageId} ${requestId}`;

export interface ClaimOptions {
  readonly quota: Quota;
  readonly queue: FairQueue;
  /** Who is limited. */
  readonly caller: string;
  /** Names the request, on every instance: however often it is asked at once, it is charged once. */
  readonly charge: string;
}

/** What a request takes on its way to its reply. Disposing it gives everything back, unless a reply has it. */
export class Claim implements AsyncDisposable {
  readonly #options: ClaimOptions;
  #charged: Charged | undefined;
  #place: Place | undefined;
  #pull: PullSource | undefined;

  constructor(options: ClaimOptions) {
    this.#options = options;
  }

  /**
   * Takes one request of the caller's minute and one of its running replies; once, however often it is called.
   * @throws RateLimitedError
   */
  async charge(isReplacing: boolean): Promise<void> {
    const { quota, caller, charge: request } = this.#options;
    this.#charged ??= await quota.charge({ owner: caller, request }, { isReplacing });
  }

  /**
   * Takes a slot or a place in the queue; once, however often it is called. The model has one name, however it is
   * written; a conversation stays on its host while that costs nothing.
   * @throws QueueFullError
   */
  enter(model: string, conversation: string): void {
    const { queue, caller } = this.#options;
    this.#place ??= queue.enter({ caller, model, conversation });
  }

  /** The model is not there yet: keeps the place in the queue, without a slot, until it is. */
  hold(pull: PullSource): void {
    this.#pull = pull;
    this.#place?.hold();
  }

  /** Needs no place after all. */
  leave(): void {
    this.#place?.[Symbol.dispose]();
    this.#place = undefined;
  }

  /** The same request has a reply already: the charge is that reply's, and not to be given back. */
  yieldTo(): void {
    this.#charged = undefined;
    this.leave();
  }

  /** Hands everything over to the reply that has begun. */
  take(): Turn {
    const [charged, place, pull] = [this.#charged, this.#place, this.#pull];
    if (!charged) throw new Error('a reply has begun that was not charged');
    this.#charged = undefined;
    this.#place = undefined;
    return { charged, ...(place && { place }), ...(pull && { pull }) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.leave();
    await this.#charged?.refund();
  }
}

/**
 * The same source, when its model is there and its turn has come, and at the host that it was given: says how far the
 * model is and where it stands in the queue, and gives everything back at its end.
 * A reply runs no more as soon as its end is known, before anybody is told: who asks again at once is not refused. Its
 * slot is free when the host has let go.
 */
export const inTurn = (source: RoutedSource, { place, pull, charged }: Turn): ReplySource =>
  async function* waitAndStream(signal) {
    const end = (): void => void charged.end();
    signal.addEventListener('abort', end, { once: true });
    charged.begin();
    try {
      if (pull) for await (const status of pull(signal)) yield [{ type: 'pulling', status }];
      if (place) yield* waitIn(place, signal);
      yield [{ type: 'turn' }];
      for await (const parts of source(signal, place)) {
        if (parts.some(({ type }) => type === 'finish')) end();
        yield parts;
      }
    } finally {
      signal.removeEventListener('abort', end);
      place?.[Symbol.dispose]();
      end();
    }
  };

async function* waitIn(place: Place, signal: AbortSignal): AsyncGenerator<readonly SourcePart[], void> {
  for await (const position of place.wait(signal)) yield [{ type: 'queued', ...position }];
}
