/** Waiting times that double from one failure to the next, with jitter so that many workers do not come back as one. */
export interface BackOff {
  /** The next waiting time in milliseconds: between half and all of the doubled value. */
  next(): number;
  reset(): void;
}

export function createBackOff(firstMs: number, maxMs: number, random: () => number = Math.random): BackOff {
  let failures = 0;
  return {
    next() {
      const full = Math.min(maxMs, firstMs * 2 ** failures);
      failures = Math.min(failures + 1, 30);
      return Math.round(full * (0.5 + random() / 2));
    },
    reset() {
      failures = 0;
    },
  };
}
