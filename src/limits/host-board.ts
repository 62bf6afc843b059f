/** What the queue knows of a host, with regard to one model, at this moment and from memory. */
export interface HostView {
  /** Its name: the base URL without credentials. */
  readonly host: string;
  /**
   * `up`: it can be asked. `suspect`: it was silent; asked when no other can be. `trial`: it failed, and may be asked
   * once to see whether it still does. `away`: not to be asked.
   */
  readonly state: 'up' | 'suspect' | 'trial' | 'away';
  readonly hasModel: boolean;
  /** In memory, or being loaded: it is asked there without pushing another model out. */
  readonly isLoaded: boolean;
  /** How long a load of the model takes there, by what was measured or, before that, a guess. */
  readonly loadMs: number;
}

/** The hosts, as who watches them knows them. It never waits. */
export interface HostBoard {
  /** Their names, in the order of the settings. */
  readonly hosts: readonly string[];
  view(model: string): readonly HostView[];
  /** Somebody waits for the model while no host that has it can be asked: asks those that had gone whether they are back. */
  seek(model: string): void;
  /**
   * Calls `listener` when a host may be asked that could not be before, has another model, or has another one loaded;
   * until disposed.
   */
  onChange(listener: () => void): Disposable;
}
