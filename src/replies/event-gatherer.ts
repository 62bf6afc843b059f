import type { Channel, ReplyEvent, TextDelta } from '../conversation/reply-event.ts';

const isHighSurrogate = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdbff;

/**
 * Gathers what the model says into the events of the next append: neighbouring text of a channel becomes one
 * delta. No delta ends inside of a surrogate pair, since a client could not show the half of it.
 */
export class EventGatherer {
  readonly #lengths: Record<Channel, number> = { content: 0, thinking: 0 };
  readonly #halves: Record<Channel, string> = { content: '', thinking: '' };
  #events: ReplyEvent[] = [];
  #totalEvents = 0;
  /** So many events are there of which the last is not joined with what follows. */
  #apart = 0;

  /** UTF-16 units of both channels since the beginning. */
  get totalUnits(): number {
    return this.#lengths.content + this.#lengths.thinking + this.#halves.content.length + this.#halves.thinking.length;
  }

  /** Events since the beginning. */
  get totalEvents(): number {
    return this.#totalEvents;
  }

  /** Whether the model has said anything but thoughts. */
  get hasContent(): boolean {
    return this.#lengths.content > 0;
  }

  add(event: ReplyEvent): void {
    this.#events.push(event);
    this.#totalEvents += 1;
  }

  addText(channel: Channel, text: string): void {
    const whole = this.#halves[channel] + text;
    const cut = isHighSurrogate(whole.charCodeAt(whole.length - 1)) ? whole.length - 1 : whole.length;
    this.#halves[channel] = whole.slice(cut);
    // What no UTF-8 can hold becomes U+FFFD here, so that memory, store and client have the same text.
    if (cut > 0) this.#addWhole(channel, whole.slice(0, cut).toWellFormed());
  }

  /** Text that stays a delta of its own. */
  addApart(channel: Channel, text: string): void {
    this.addText(channel, text);
    this.#apart = this.#totalEvents;
  }

  /** All that waits, oldest first. */
  take(): readonly ReplyEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  /** Nothing more comes: a half pair will not be completed. */
  close(): void {
    for (const channel of ['thinking', 'content'] as const) {
      const half = this.#halves[channel];
      this.#halves[channel] = '';
      if (half !== '') this.#addWhole(channel, half.toWellFormed());
    }
  }

  #addWhole(channel: Channel, text: string): void {
    const last = this.#events.at(-1);
    const isOpen = this.#totalEvents > this.#apart;
    if (isOpen && last?.type === 'text-delta' && last.channel === channel) {
      this.#events[this.#events.length - 1] = { ...last, text: last.text + text };
    } else {
      this.add({ type: 'text-delta', channel, at: this.#lengths[channel], text } satisfies TextDelta);
    }
    this.#lengths[channel] += text.length;
  }
}
