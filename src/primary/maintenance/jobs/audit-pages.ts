import { largestHsmBatch } from '../../../shared/hsm-work.ts';

/**
 * How many keys the audit asks for at once. An idle HSM does a hundred in a second. On a busy one maintenance rests for
 * up to five seconds after each step, and a key that fails takes two: a hundred would take longer than a run may.
 */
const pageMs = 60_000;

/** Nobody knows yet how busy the HSM is. */
export const firstPage = 10;

/** So many as take about a minute at the speed of the page before. */
export function nextPage(keys: number, tookMs: number): number {
  const fit = Math.floor((keys * pageMs) / Math.max(1, tookMs));
  return Math.max(1, Math.min(largestHsmBatch, fit));
}
