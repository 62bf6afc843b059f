import type { Rig } from '../measure/rig.ts';
import type { CaseResult } from '../report/result.ts';

/** How much of it is run. */
export interface Size {
  /** A short form, that shows that it works and measures little. */
  readonly isQuick: boolean;
  /** Says what is going on. */
  readonly tell: (text: string) => void;
}

/** One question that the benchmark answers. */
export interface Case {
  readonly name: string;
  run(rig: Rig, size: Size): Promise<CaseResult>;
}

/** More failures than this share of all requests, and the figures mean nothing. */
const MOST_FAILURES = 0.01;

/** @throws Error where too many have failed; a few are shown in the table */
export const checkFailures = (failures: number, requests: number, error: string | undefined): void => {
  if (failures > MOST_FAILURES * (requests + failures)) {
    throw new Error(`${failures} of ${requests + failures} requests have failed: ${error}`);
  }
};
