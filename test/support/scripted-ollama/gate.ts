/** Holds whoever waits at it until the test opens it: the tests' answer to "wait a little". */
export interface Gate {
  /** Resolves when somebody has begun to wait here: what comes before the gate has then been done. */
  readonly reached: Promise<void>;
  /** Waits for the opening; passes at once when the gate is open. */
  wait(): Promise<void>;
  /** Lets everybody through, now and later. */
  open(): void;
}

export function createGate(): Gate {
  const opening = Promise.withResolvers<void>();
  const arrival = Promise.withResolvers<void>();
  return {
    reached: arrival.promise,
    wait() {
      arrival.resolve();
      return opening.promise;
    },
    open: () => opening.resolve(),
  };
}
