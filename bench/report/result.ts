/** A column of a case's table. */
export interface Column {
  readonly key: string;
  /** With its unit. */
  readonly label: string;
  readonly digits?: number;
}

export interface Row {
  /** What was measured. */
  readonly subject: string;
  readonly figures: Readonly<Record<string, number>>;
  /** What keeps it from being better. */
  readonly limit: string;
}

export interface Target {
  readonly about: string;
  readonly bound: '≤' | '≥';
  readonly wanted: number;
  readonly measured: number;
  readonly unit: string;
}

export interface CaseResult {
  readonly name: string;
  readonly title: string;
  /** The first is the one that the picture shows. */
  readonly columns: readonly Column[];
  readonly rows: readonly Row[];
  readonly targets: readonly Target[];
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly isPinned: boolean;
  readonly node: string;
  readonly redis: string;
  readonly system: string;
}

export interface Report {
  /** RFC 3339, UTC. */
  readonly date: string;
  readonly isQuick: boolean;
  readonly machine: Machine;
  readonly cases: readonly CaseResult[];
  /** Cases that have no figures. */
  readonly failed: readonly string[];
}

export const isReached = ({ bound, wanted, measured }: Target): boolean =>
  bound === '≤' ? measured <= wanted : measured >= wanted;
