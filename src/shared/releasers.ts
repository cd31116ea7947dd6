import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Undo is registered where a thing is acquired, and runs in reverse order: the same list serves a stop that was asked
 * for, a fault in the middle, and a start-up that failed half-way. A step that fails or does not end in its time is
 * reported and left behind; the steps below it still run.
 */
export interface Releasers {
  /** @param limitMs how long the release may take before it is left behind. */
  add(what: string, release: () => unknown, limitMs?: number): void;
  /** Runs everything once; every caller gets the same promise. False: something did not end in its time. */
  release(): Promise<boolean>;
}

export function createReleasers(onFailure: (what: string, error: unknown) => void): Releasers {
  const steps: { what: string; release: () => unknown; limitMs: number }[] = [];
  let released: Promise<boolean> | undefined;

  async function releaseAll(): Promise<boolean> {
    let inTime = true;
    for (let step = steps.pop(); step !== undefined; step = steps.pop()) {
      if (!(await runStep(step))) inTime = false;
    }
    return inTime;
  }

  async function runStep({ what, release, limitMs }: (typeof steps)[number]): Promise<boolean> {
    const clock = new AbortController();
    const late = sleep(limitMs, 'late' as const, { signal: clock.signal }).catch(() => 'late' as const);
    try {
      if ((await Promise.race([Promise.resolve(release()).then(() => 'ended' as const), late])) === 'ended')
        return true;
      onFailure(what, new Error(`did not end within ${limitMs} ms`));
      return false;
    } catch (error) {
      onFailure(what, error);
      return true;
    } finally {
      clock.abort();
    }
  }

  return {
    add(what, release, limitMs = 1_000) {
      const step = { what, release, limitMs };
      // A start-up that goes on while the end has begun must not leave anything behind. While the list still runs,
      // the loop takes the newcomer; afterwards it is released at once.
      steps.push(step);
      if (released !== undefined) released = released.then(async (inTime) => (await releaseAll()) && inTime);
    },
    release() {
      released ??= releaseAll();
      return released;
    },
  };
}
