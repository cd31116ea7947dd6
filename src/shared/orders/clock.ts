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

export function clockText(aheadMs: number): string {
  return `this node’s clock is ${Math.round(aheadMs / 1_000)} s ahead of its database’s`;
}
