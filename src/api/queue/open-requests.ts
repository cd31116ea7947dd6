import type pg from 'pg';
import { CodedError } from '../../shared/errors.ts';
import type { Place } from './insert-requests.ts';
import type { NewRequest } from './request.ts';

/**
 * How many requests each organisation has open (queued or leased): for the cap, and for its place in the queue. Counted
 * once a second over all processes, and kept up to date between with what this process sees; a little late is enough,
 * and no insert waits for a count. What this process puts in is counted once, whatever becomes of its insert: where the
 * table’s count and this process’s own may overlap, the request is left out until the next count.
 */
export interface OpenRequests {
  refresh(): Promise<void>;
  /**
   * Notes a request on its way into the table.
   * @throws TOO_MANY_OPEN_REQUESTS
   */
  enter(request: NewRequest): Entrance;
  /** The place of a request that is put in again: it was counted when it entered. */
  place(organisation: string): Place;
  /** Notes a request that is final. */
  close(organisation: string): void;
}

export interface Entrance {
  readonly place: Place;
  /** Called once. @param made whether there is a new row; where there is none, nothing is open because of this request. */
  settle(made: boolean): void;
}

export interface OpenRequestLimits {
  readonly openRequestsPerOrganisation: number;
  readonly priorities: Readonly<Record<string, number>>;
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

/** A request id whose insert is under way; the same one may be sent several times at once. */
interface Entering {
  readonly organisation: string;
  senders: number;
  made: boolean;
  /** False: it may be in the table’s count as well. */
  counted: boolean;
}

/** What happens while the table is counted. */
interface Counting {
  /** Left out of the count, since nobody could say whether it has them. */
  readonly leftOut: ReadonlySet<Entering>;
  readonly closed: string[];
}

export function createOpenRequests(
  pool: pg.Pool,
  { openRequestsPerOrganisation: limit, priorities }: OpenRequestLimits,
  now: () => number = Date.now,
): OpenRequests {
  let counts = new Map<string, number>();
  const entering = new Map<string, Entering>();
  let counting: Counting | undefined;
  const count = (organisation: string): number => counts.get(organisation) ?? 0;
  const add = (organisation: string, change: 1 | -1): void => {
    counts.set(organisation, Math.max(0, count(organisation) + change));
  };
  const place = (organisation: string): Place => ({
    priority: priorities[organisation] ?? 0,
    turn: turnOf(now(), count(organisation)),
  });

  return {
    async refresh() {
      const current: Counting = { leftOut: new Set(entering.values()), closed: [] };
      counting = current;
      try {
        const { rows } = await pool.query<{ organisation: string; open: number }>(
          `select organisation, count(*)::int as open from request
           where state in ('queued', 'leased') and id <> all($1) group by organisation`,
          [[...entering.keys()]],
        );
        counts = new Map(rows.map((row) => [row.organisation, row.open]));
      } finally {
        counting = undefined;
      }
      for (const one of entering.values()) one.counted = current.leftOut.has(one);
      for (const { organisation, senders, made } of current.leftOut) if (senders > 0 || made) add(organisation, 1);
      for (const organisation of current.closed) add(organisation, -1);
    },

    enter({ id, requester: { organisation } }) {
      if (count(organisation) >= limit)
        throw new CodedError('TOO_MANY_OPEN_REQUESTS', `${organisation} has ${limit} open requests`);
      const given = place(organisation);
      const one = entering.get(id) ?? { organisation, senders: 0, made: false, counted: true };
      if (one.senders === 0) {
        entering.set(id, one);
        add(organisation, 1);
      }
      one.senders += 1;
      return {
        place: given,
        settle(made) {
          one.senders -= 1;
          one.made ||= made;
          if (one.senders > 0) return;
          entering.delete(id);
          if (!one.made && one.counted) add(organisation, -1);
        },
      };
    },

    place,

    close(organisation) {
      add(organisation, -1);
      counting?.closed.push(organisation);
    },
  };
}
