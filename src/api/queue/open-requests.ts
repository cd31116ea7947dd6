import type pg from 'pg';
import { CodedError } from '../../shared/errors.ts';

/**
 * How many requests each organisation has open (queued or leased): for the cap, and for its place in the queue. Counted
 * once a second over all processes, and kept up to date between with what this process sees; a little late is enough,
 * and no insert waits for a count.
 */
export interface OpenRequests {
  refresh(): Promise<void>;
  /** Notes a new request. @returns its `turn`. */
  open(organisation: string): number;
  /** Notes a request that is final. */
  close(organisation: string): void;
  /** @throws TOO_MANY_OPEN_REQUESTS */
  require(organisation: string): void;
}

/**
 * A turn is microseconds since 1970, plus this much for each request that the organisation has open already. An
 * organisation that sends a thousand at once pays for its own crowd: its last one stands 10 s behind the clock, and what
 * others send in these 10 s goes before it.
 */
const crowdMicroseconds = 10_000;

export function turnOf(nowMs: number, open: number): number {
  return Math.round(nowMs * 1_000) + open * crowdMicroseconds;
}

export function createOpenRequests(pool: pg.Pool, limit: number, now: () => number = Date.now): OpenRequests {
  let counts = new Map<string, number>();
  const count = (organisation: string): number => counts.get(organisation) ?? 0;

  return {
    async refresh() {
      const { rows } = await pool.query<{ organisation: string; open: number }>(
        `select organisation, count(*)::int as open from request where state in ('queued', 'leased') group by organisation`,
      );
      counts = new Map(rows.map((row) => [row.organisation, row.open]));
    },
    open(organisation) {
      const before = count(organisation);
      counts.set(organisation, before + 1);
      return turnOf(now(), before);
    },
    close(organisation) {
      counts.set(organisation, Math.max(0, count(organisation) - 1));
    },
    require(organisation) {
      if (count(organisation) < limit) return;
      throw new CodedError('TOO_MANY_OPEN_REQUESTS', `${organisation} has ${limit} open requests`);
    },
  };
}
