/**
 * How much may be inside the HSM at a time after it had no room for a session or an object: half of what it was, after a
 * pause; twice as much again for each quiet while. Not a fault: other slots take what waits.
 */
export interface Easing {
  /** The HSM had no room. */
  crowded(): void;
  /** Signatures and keys that may be inside now; Infinity when all is well, 0 during the pause. */
  limit(): number;
}

const firstPauseMs = 100;
const longestPauseMs = 2_000;
/** So long without complaint allows twice as much. */
const quietMs = 5_000;

/**
 * @param threads what is inside at most when all is well, as far as the HSM is concerned.
 * @param onPauseEnd something may begin again.
 */
export function createEasing(
  threads: number,
  onPauseEnd: () => void,
  now: () => number = () => performance.now(),
): Easing {
  let allowed = Number.POSITIVE_INFINITY;
  let pauseMs = firstPauseMs;
  let pausedUntil = 0;
  let quietSince = 0;

  function relax(): void {
    while (allowed < Number.POSITIVE_INFINITY && now() - quietSince >= quietMs) {
      quietSince += quietMs;
      allowed *= 2;
      if (allowed < threads) continue;
      allowed = Number.POSITIVE_INFINITY;
      pauseMs = firstPauseMs;
    }
  }

  return {
    crowded() {
      relax();
      quietSince = now();
      // One complaint of many calls that were inside together is one complaint.
      if (now() < pausedUntil) return;
      allowed = Math.max(1, Math.floor(Math.min(allowed, threads) / 2));
      pausedUntil = now() + pauseMs;
      setTimeout(onPauseEnd, pauseMs).unref();
      pauseMs = Math.min(longestPauseMs, pauseMs * 2);
    },
    limit() {
      relax();
      return now() < pausedUntil ? 0 : allowed;
    },
  };
}
