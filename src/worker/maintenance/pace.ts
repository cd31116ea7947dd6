import { setTimeout as sleep } from 'node:timers/promises';

/**
 * How maintenance gives way to signing: one small step at a time, and while signing has work in the HSM, after each step
 * a pause that is many times as long as the step was. Maintenance then takes a twentieth of one session's time, whatever
 * the HSM's speed; on an idle slot it takes what it can.
 */
export interface Pace {
  /** One step, when it may be done. @throws AbortError */
  step<Value>(act: () => Promise<Value>, signal: AbortSignal): Promise<Value>;
}

const restShare = 19;
const longestRestMs = 5_000;

export function createPace(signing: () => boolean, now: () => number = () => performance.now()): Pace {
  let restUntil = 0;
  return {
    async step(act, signal) {
      const restMs = restUntil - now();
      if (restMs > 0 && signing()) await sleep(restMs, undefined, { signal });
      signal.throwIfAborted();
      const began = now();
      try {
        return await act();
      } finally {
        const tookMs = now() - began;
        restUntil = now() + Math.min(longestRestMs, restShare * tookMs);
      }
    },
  };
}
