import { median } from '../measure/statistics.ts';
import type { Rig } from '../measure/rig.ts';
import type { Subject, SubjectName } from '../measure/subjects.ts';

/** Figures by their names. */
export type Figures = Readonly<Record<string, number>>;

/** What one round measures of one subject. */
export interface Measured {
  readonly figures: Figures;
  readonly limit: string;
}

export interface Interleaved {
  readonly rig: Rig;
  readonly subjects: readonly SubjectName[];
  readonly rounds: number;
  /** Runs once before what counts. */
  readonly warmUp: (subject: Subject) => Promise<unknown>;
  readonly measure: (subject: Subject) => Promise<Measured>;
  readonly tell: (text: string) => void;
}

/** All rounds of all subjects. */
export class Rounds {
  readonly #measured: ReadonlyMap<SubjectName, readonly Measured[]>;

  constructor(measured: ReadonlyMap<SubjectName, readonly Measured[]>) {
    this.#measured = measured;
  }

  /** The median of all rounds. */
  figures(subject: SubjectName): Figures {
    const rounds = this.#of(subject);
    const keys = Object.keys(rounds[0]?.figures ?? {});
    return Object.fromEntries(keys.map((key) => [key, median(rounds.map(({ figures }) => figures[key] ?? NaN))]));
  }

  limit(subject: SubjectName): string {
    return this.#of(subject).at(-1)?.limit ?? '';
  }

  /** The median of the ratios of each round: what slows the machine down for a while slows both. */
  ratio(key: string, subject: SubjectName, to: SubjectName): number {
    const others = this.#of(to);
    return median(
      this.#of(subject).map(({ figures }, round) => (figures[key] ?? NaN) / (others[round]?.figures[key] ?? NaN)),
    );
  }

  #of(subject: SubjectName): readonly Measured[] {
    return this.#measured.get(subject) ?? [];
  }
}

/** Measures A, B, C, A, B, C …: the machine is never quite the same for long. */
export const interleave = async ({ rig, subjects, rounds, warmUp, measure, tell }: Interleaved): Promise<Rounds> => {
  const measured = new Map<SubjectName, Measured[]>();
  await using opened = new AsyncDisposableStack();
  const started = await Promise.all(subjects.map(async (name) => opened.use(await rig.start(name))));
  for (const subject of started) {
    await warmUp(subject);
    measured.set(subject.name, []);
  }
  for (let round = 1; round <= rounds; round++) {
    for (const subject of started) {
      tell(`round ${round} of ${rounds}: ${subject.name}`);
      measured.get(subject.name)?.push(await measure(subject));
    }
  }
  return new Rounds(measured);
};
