import type { Clock } from '../clock.ts';
import { BackendUnavailableError, QueueFullError } from '../errors.ts';
import { Alarm } from './alarm.ts';
import type { HostBoard } from './host-board.ts';
import { chooseHost, findFreeHosts, findUsable, type HostLoad } from './host-choice.ts';
import { LastHosts } from './last-hosts.ts';
import { findTurn, type Turn } from './next-turn.ts';
import { QueuedPlace, UNKNOWN_MS, type Asker, type Place, type QueueSide } from './queued-place.ts';
import { ServiceTimes } from './service-times.ts';
import { WaitingLine } from './waiting-line.ts';

export interface FairQueueOptions {
  readonly clock: Clock;
  /** What is known of the hosts. */
  readonly board: HostBoard;
  /** How many may be served by one host at once. */
  readonly slots: number;
  /** How many may wait, for all models together; and as many whose places are held. */
  readonly limit: number;
  /** How long one may wait. */
  readonly timeoutMs: number;
  /** How long one waits while there is no host that can be asked for the model. */
  readonly awayTimeoutMs: number;
  /** Asked by who has a slot: resolves when the host takes one more; rejects with the signal's reason. */
  readonly admit?: (host: string, signal: AbortSignal) => Promise<void>;
}

/** Hosts that have gone are sought so often for those who have no other. */
const SEEK_MS = 2_000;

/**
 * A bounded queue in front of the hosts' slots, fair between callers: they are served turn by turn, so that one with
 * twenty waiting requests does not starve one with a single one. A caller's own requests for a model keep their order.
 * The host is chosen when the turn has come.
 */
export class FairQueue implements Disposable {
  readonly #options: FairQueueOptions;
  readonly #times = new ServiceTimes();
  readonly #lastHosts = new LastHosts();
  readonly #line = new WaitingLine<QueuedPlace>();
  /** Who is served, by host. */
  readonly #served = new Map<string, Set<QueuedPlace>>();
  /** Behind everybody, in the order in which they came, and how to ask for what they are given. */
  readonly #idle = new Map<QueuedPlace, () => void>();
  /** Of those, who has a slot. */
  readonly #lent = new Map<QueuedPlace, () => void>();
  readonly #load: HostLoad;
  readonly #alarm: Alarm;
  readonly #subscription: Disposable;
  /** When those hosts were last sought that have gone. */
  #soughtAt = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  constructor(options: FairQueueOptions) {
    this.#options = options;
    this.#load = {
      slots: options.slots,
      running: (host) => this.load(host),
      runs: (host, model) => [...(this.#served.get(host) ?? [])].some((place) => place.model === model),
    };
    this.#alarm = new Alarm(options.clock, () => this.#proceed());
    this.#subscription = options.board.onChange(() => this.#proceed());
  }

  /** How many wait. */
  get waiting(): number {
    return this.#line.size;
  }

  get #heldPlaces(): number {
    return this.#line.inOrder().filter(({ isHeld }) => isHeld).length;
  }

  /** How many are being served. */
  get serving(): number {
    return [...this.#served.values()].reduce((total, { size }) => total + size, 0);
  }

  /** How many a host serves at once. */
  get slots(): number {
    return this.#options.slots;
  }

  /** How many a host serves. */
  load(host: string): number {
    return this.#served.get(host)?.size ?? 0;
  }

  /**
   * Takes a slot, or a place in the queue.
   * @throws QueueFullError at once when there is neither, with the time after which there will be
   */
  enter(asker: Asker): Place {
    const place = new QueuedPlace(asker, this.#options, this.#side);
    this.#line.add(place);
    this.#assign();
    const isRefused = place.isWaiting && this.#line.size - this.#heldPlaces > this.#options.limit + this.#lent.size;
    if (isRefused) this.#line.remove(place);
    else if (place.isWaiting) for (const askBack of this.#lent.values()) askBack();
    this.#tell();
    if (isRefused) throw this.#full(asker.model);
    return place;
  }

  /**
   * A place for what nobody waits for: behind everybody, counted as nobody, with a slot where its model is loaded and
   * none else wants one. `onWanted` is called, perhaps more than once, when somebody waits while it has one: it is then
   * to be given back.
   */
  enterLast(asker: Omit<Asker, 'caller'>, onWanted: () => void): Place {
    const place = new QueuedPlace({ caller: '', ...asker }, this.#options, this.#lastSide);
    this.#idle.set(place, onWanted);
    this.#proceed();
    return place;
  }

  /** Ends the clocks; who waits is not served any more. */
  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#subscription[Symbol.dispose]();
    this.#alarm[Symbol.dispose]();
  }

  readonly #side: QueueSide = {
    leave: (place) => {
      this.#line.remove(place);
      this.#proceed();
    },
    release: (place, heldMs) => {
      this.#served.get(place.host)?.delete(place);
      if (heldMs !== undefined) this.#times.add(place.model, heldMs);
      this.#proceed();
    },
    hold: (place) => {
      if (this.#heldPlaces >= this.#options.limit) throw this.#full(place.model);
      place.isHeld = true;
    },
    resume: (place) => {
      place.isHeld = false;
      this.#proceed();
    },
    seekAgain: (place) => {
      this.#served.get(place.host)?.delete(place);
      this.#line.addInFront(place);
      this.#proceed();
    },
    expectedMs: (model, position) => this.#expectedMs(model, position),
  };

  /** What others will take is not learnt from it. */
  readonly #lastSide: QueueSide = {
    leave: (place) => void this.#idle.delete(place),
    release: (place) => {
      this.#lent.delete(place);
      this.#served.get(place.host)?.delete(place);
      this.#proceed();
    },
    hold: (place) => {
      place.isHeld = true;
    },
    resume: (place) => {
      place.isHeld = false;
    },
    seekAgain: (place) => {
      const onWanted = this.#lent.get(place);
      this.#lent.delete(place);
      this.#served.get(place.host)?.delete(place);
      if (onWanted) this.#idle.set(place, onWanted);
      this.#proceed();
    },
    expectedMs: () => undefined,
  };

  #proceed(): void {
    if (this.#isClosed) return;
    this.#assign();
    this.#lend();
    this.#tell();
  }

  /** Slots that nobody wants go to who stands behind everybody: a load for them is not worth what it pushes out. */
  #lend(): void {
    const { board } = this.#options;
    for (const [place, onWanted] of this.#idle) {
      if (this.#line.inOrder().some(({ isHeld }) => !isHeld)) return;
      const free = findFreeHosts(findUsable(board, place.model, this.#load), this.#load);
      const host = chooseHost(
        free.filter(({ isLoaded }) => isLoaded),
        this.#load,
        this.#lastHosts.get(place.conversation),
      )?.host;
      if (host === undefined) continue;
      this.#idle.delete(place);
      this.#lent.set(place, onWanted);
      this.#admit(place, host);
    }
  }

  /** Gives hosts to as many as can be served, and gives up those for whom there was no host for too long. */
  #assign(): void {
    for (let turn = this.#findTurn(); turn; turn = this.#findTurn()) this.#serve(turn);
    const now = this.#options.clock.elapsed();
    for (const place of this.#line.inOrder()) {
      if (place.failAt === undefined || place.failAt > now) continue;
      this.#line.remove(place);
      place.fail(this.#unavailable(place));
    }
  }

  #findTurn(): Turn<QueuedPlace> | undefined {
    if (this.#line.size === 0) return undefined;
    const { board, clock, awayTimeoutMs } = this.#options;
    return findTurn({
      order: this.#line.inOrder(),
      board,
      load: this.#load,
      lastHost: (conversation) => this.#lastHosts.get(conversation),
      replyMs: (model) => this.#times.meanMs(model),
      now: clock.elapsed(),
      awayTimeoutMs,
    });
  }

  #serve({ seeker: place, host }: Turn<QueuedPlace>): void {
    this.#line.take(place);
    this.#lastHosts.set(place.conversation, host);
    this.#admit(place, host);
  }

  #admit(place: QueuedPlace, host: string): void {
    const served = this.#served.get(host);
    if (served) served.add(place);
    else this.#served.set(host, new Set([place]));
    place.serve(host);
  }

  /** Everybody's place among those who wait for the same model, and when to look again though nothing has happened. */
  #tell(): void {
    if (this.#isClosed) return;
    const now = this.#options.clock.elapsed();
    const positions = new Map<string, number>();
    let dueAt = Number.POSITIVE_INFINITY;
    for (const place of this.#line.inOrder()) {
      const position = (positions.get(place.model) ?? 0) + 1;
      positions.set(place.model, position);
      place.moveTo(position);
      for (const at of [place.loadAt, place.failAt]) if (at !== undefined && at > now) dueAt = Math.min(dueAt, at);
    }
    dueAt = Math.min(dueAt, this.#seek());
    this.#alarm.set(Number.isFinite(dueAt) ? dueAt : undefined);
  }

  /** Has the hosts asked whether they are back, for who can be served by none; when that is due again. */
  #seek(): number {
    const { board, clock } = this.#options;
    const away = this.#line.inOrder().filter(({ failAt }) => failAt !== undefined);
    if (away.length === 0) return Number.POSITIVE_INFINITY;
    if (clock.elapsed() >= this.#soughtAt + SEEK_MS) {
      this.#soughtAt = clock.elapsed();
      for (const model of new Set(away.map((place) => place.model))) board.seek(model);
    }
    return this.#soughtAt + SEEK_MS;
  }

  #expectedMs(model: string, position: number): number | undefined {
    const { board, slots } = this.#options;
    return this.#times.expectedMs(model, position, findUsable(board, model, this.#load).length * slots);
  }

  #full(model: string): QueueFullError {
    return new QueueFullError(
      `The queue is full: ${this.#options.limit} requests wait (LLM_QUEUE_LIMIT). Ask again later.`,
      { retryAfterMs: this.#expectedMs(model, 1) ?? UNKNOWN_MS },
    );
  }

  #unavailable({ model }: QueuedPlace): BackendUnavailableError {
    const { board, awayTimeoutMs } = this.#options;
    const waited = `for ${awayTimeoutMs / 1000} s`;
    return new BackendUnavailableError(
      board.view(model).some(({ hasModel }) => hasModel)
        ? `No Ollama host that has the model ${JSON.stringify(model)} could be asked ${waited}. Check that Ollama runs, and try again.`
        : `No Ollama host that can be asked had the model ${JSON.stringify(model)} ${waited}. Try again when it is there.`,
    );
  }
}
