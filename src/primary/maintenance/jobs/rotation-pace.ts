import { setTimeout as sleep } from 'node:timers/promises';

export interface RotationPace {
  count(moved: number): void;
  /** Until the next batch may begin. @throws AbortError */
  wait(keys: number, signal: AbortSignal): Promise<void>;
  facts(): Record<string, number>;
}

/**
 * Keeps to a rate that may change while it runs, and tells how far the moving is.
 * @param toMove keys that were left when it began.
 */
export function createPace(keysPerSecond: () => number, toMove: number): RotationPace {
  const began = performance.now();
  let moved = 0;
  let nextAt = began;
  return {
    count(more) {
      moved += more;
    },
    async wait(keys, signal) {
      // What was lost is not made up for: a burst would disturb whom the limit protects.
      nextAt = Math.max(nextAt, performance.now() - 1_000) + (keys * 1_000) / keysPerSecond();
      const restMs = nextAt - performance.now();
      if (restMs > 0) await sleep(restMs, undefined, { signal });
    },
    facts() {
      const perSecond = moved / Math.max(0.001, (performance.now() - began) / 1_000);
      const remaining = Math.max(0, toMove - moved);
      return {
        moved,
        remaining,
        keysPerSecond: Math.round(perSecond * 10) / 10,
        ...(perSecond > 0 ? { remainingSeconds: Math.ceil(remaining / perSecond) } : {}),
      };
    },
  };
}
