import { steadyMs } from './restart-policy.ts';

/**
 * Whether the workers of a slot end again and again: pure, over the ends that are remembered, newest last. A slot in a
 * crash loop is still tried, with the longest delay of its kind, and an operator is told once.
 */
export interface TimedEnd {
  readonly atMs: number;
  readonly readyMs: number;
}

const windowMs = 180_000;
const endsAllowed = 8;

export function inCrashLoop(ends: readonly TimedEnd[], nowMs: number): boolean {
  let count = 0;
  for (const end of ends.toReversed()) {
    if (nowMs - end.atMs > windowMs) break;
    count += 1;
    // This one had worked: what was before it is history.
    if (end.readyMs >= steadyMs) break;
  }
  return count >= endsAllowed;
}
