interface Waiting {
  readonly caller: string;
  readonly model: string;
}

/**
 * Who waits, in a fair order: turn by turn, a turn of each caller for each model. What a caller is served by one model
 * does not put back what it waits for of another; and a request that nobody can serve now holds up none behind it.
 */
export class WaitingLine<Place extends Waiting> {
  /** Who had its turn, and needs another host. */
  readonly #front: Place[] = [];
  /** Each caller's requests for one model, in the order of their turns. */
  readonly #turns = new Map<string, Place[]>();
  #size = 0;
  /** As it was worked out; absent when it has changed. */
  #order: readonly Place[] | undefined;

  get size(): number {
    return this.#size;
  }

  /** Behind those of the same caller. */
  add(place: Place): void {
    const key = toKey(place);
    const places = this.#turns.get(key);
    if (places) places.push(place);
    else this.#turns.set(key, [place]);
    this.#change(1);
  }

  /** Before everybody who has not had a turn. */
  addInFront(place: Place): void {
    this.#front.push(place);
    this.#change(1);
  }

  /** Its turn has come: the caller's next one for the model is at the end of the round. */
  take(place: Place): void {
    if (this.#removeFrom(this.#front, place)) return;
    this.remove(place);
    const key = toKey(place);
    const rest = this.#turns.get(key);
    if (!rest) return;
    this.#turns.delete(key);
    this.#turns.set(key, rest);
  }

  /** It goes without a turn. */
  remove(place: Place): void {
    if (this.#removeFrom(this.#front, place)) return;
    const key = toKey(place);
    const places = this.#turns.get(key) ?? [];
    this.#removeFrom(places, place);
    if (places.length === 0) this.#turns.delete(key);
  }

  /** In the order of their turns, round by round. */
  inOrder(): readonly Place[] {
    return (this.#order ??= this.#toOrder());
  }

  #toOrder(): readonly Place[] {
    const order = [...this.#front];
    let turns = [...this.#turns.values()];
    for (let round = 0; turns.length > 0; round++) {
      for (const places of turns) {
        const place = places[round];
        if (place) order.push(place);
      }
      turns = turns.filter(({ length }) => length > round + 1);
    }
    return order;
  }

  #removeFrom(places: Place[], place: Place): boolean {
    const index = places.indexOf(place);
    if (index < 0) return false;
    places.splice(index, 1);
    this.#change(-1);
    return true;
  }

  #change(size: number): void {
    this.#size += size;
    this.#order = undefined;
  }
}

const toKey = ({ caller, model }: Waiting): string => JSON.stringify([caller, model]);
