/** This machine's clock beside the database's. */
export interface ClockReading {
  /** Unix ms, by this machine. */
  readonly nowMs: number;
  /** How far this machine's clock is ahead of the database's; negative: behind. */
  readonly aheadMs: number;
}

/** A clock that differs from the database's by more than this has jumped: nobody's age can be told by it. */
const longestDifferenceMs = 60_000;

export function isClockDoubtful(aheadMs: number): boolean {
  return Math.abs(aheadMs) > longestDifferenceMs;
}

/** The time of day at one moment. */
export interface ClockTime {
  /** Unix ms, by this machine. */
  readonly nowMs: number;
  /** How far it is from the monotonic clock, which nobody sets: where this has changed, the time of day has stepped. */
  readonly offsetMs: number;
}

export function readClock(): ClockTime {
  const nowMs = Date.now();
  return { nowMs, offsetMs: nowMs - performance.now() };
}

/** How this machine's clock was when it was last compared with the database's. */
export interface ComparedClock {
  readonly aheadMs: number;
  readonly offsetMs: number;
}

/**
 * Why no age can be told now: the clock was too far from the database's when they were compared, or is since then. One
 * that was wrong and has stepped is doubted until they are compared again, even if it may be right now.
 * @param offsetMs now.
 * @returns undefined for a clock that is believed.
 */
export function clockDoubt(compared: ComparedClock, offsetMs: number): string | undefined {
  if (isClockDoubtful(compared.aheadMs)) return clockText(compared.aheadMs);
  const steppedMs = offsetMs - compared.offsetMs;
  if (isClockDoubtful(steppedMs) || isClockDoubtful(compared.aheadMs + steppedMs))
    return `this node’s clock has stepped by ${Math.round(steppedMs / 1_000)} s`;
  return undefined;
}

export function clockText(aheadMs: number): string {
  return `this node’s clock is ${Math.round(aheadMs / 1_000)} s ahead of its database’s`;
}
