/**
 * A sleep that can be ended early: one sleeper, anybody may ring. A ring while nobody sleeps ends the next sleep at
 * once, so that news which arrives between "look" and "sleep" is not slept over.
 */
export interface Alarm {
  sleep(ms: number): Promise<void>;
  ring(): void;
  /** Forgets an earlier ring: call before looking at what a ring would announce. */
  clear(): void;
}

export function createAlarm(): Alarm {
  let rung = false;
  let wake: (() => void) | undefined;
  return {
    sleep(ms) {
      if (rung) {
        rung = false;
        return Promise.resolve();
      }
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, ms);
      wake = resolve;
      return promise.finally(() => {
        clearTimeout(timer);
        wake = undefined;
      });
    },
    ring() {
      if (wake === undefined) rung = true;
      else wake();
    },
    clear() {
      rung = false;
    },
  };
}
