import { CodedError } from '../../shared/errors.ts';

export interface RateLimits {
  readonly perSecond: number;
  /** How many calls may come at once after a pause. */
  readonly burst: number;
}

interface Bucket {
  tokens: number;
  /** Milliseconds of the same clock as `now`. */
  filledAt: number;
}

/** So many tokens are remembered; a bucket that was forgotten is full again. */
const bucketLimit = 10_000;

/**
 * A token bucket per bearer token and process: it keeps one caller from taking the whole process, and guesses of tokens
 * from taking the database. With several API processes, each has its own count.
 * @param now milliseconds, monotonic.
 */
export function createRateLimit({ perSecond, burst }: RateLimits, now: () => number = () => performance.now()) {
  const buckets = new Map<string, Bucket>();

  return {
    /** @throws RATE_LIMITED */
    take(token: string): void {
      const at = now();
      const before = buckets.get(token);
      const tokens =
        before === undefined ? burst : Math.min(burst, before.tokens + ((at - before.filledAt) / 1_000) * perSecond);
      // The one that was used last stands last.
      buckets.delete(token);
      buckets.set(token, { tokens: tokens < 1 ? tokens : tokens - 1, filledAt: at });
      if (buckets.size > bucketLimit) buckets.delete(buckets.keys().next().value ?? '');
      if (tokens < 1) throw new CodedError('RATE_LIMITED', `${perSecond} calls per second`);
    },
  };
}
export type RateLimit = ReturnType<typeof createRateLimit>;
