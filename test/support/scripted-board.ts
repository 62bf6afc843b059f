import type { HostBoard, HostView } from '../../src/limits/host-board.ts';

export interface ScriptedHost {
  state: HostView['state'];
  /** That it can be asked for. */
  readonly models: Set<string>;
  readonly loaded: Set<string>;
  loadMs: number;
}

/** Hosts that are as a test says. Who changes one tells it with `change`. */
export class ScriptedBoard implements HostBoard {
  readonly #hosts = new Map<string, ScriptedHost>();
  readonly #listeners = new Set<() => void>();
  /** The models for which hosts were sought that had gone. */
  readonly sought: string[] = [];

  /** By default each host is up, has the model `m` and has it loaded. */
  constructor(hosts: Readonly<Record<string, Partial<ScriptedHost>>> = { a: {} }) {
    for (const [host, given] of Object.entries(hosts)) {
      this.#hosts.set(host, {
        state: 'up',
        models: new Set(['m']),
        loaded: new Set(['m']),
        loadMs: 20_000,
        ...given,
      });
    }
  }

  get hosts(): readonly string[] {
    return [...this.#hosts.keys()];
  }

  /** How many listen. */
  get listeners(): number {
    return this.#listeners.size;
  }

  view(model: string): readonly HostView[] {
    return [...this.#hosts].map(([host, { state, models, loaded, loadMs }]) => ({
      host,
      state,
      hasModel: models.has(model),
      isLoaded: loaded.has(model),
      loadMs,
    }));
  }

  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  seek(model: string): void {
    this.sought.push(model);
  }

  /** The same host from now on; whoever listens hears of it. */
  change(host: string, changed: Partial<ScriptedHost>): void {
    Object.assign(this.host(host), changed);
    for (const listener of this.#listeners) listener();
  }

  host(name: string): ScriptedHost {
    const host = this.#hosts.get(name);
    if (!host) throw new Error(`there is no host ${name}`);
    return host;
  }
}
