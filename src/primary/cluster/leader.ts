import type pg from 'pg';
import { run, type Self } from './statement.ts';
import type { Verdict } from './verdict.ts';

/**
 * The lease of the cluster's leader: one row, in database time. Two leaders can never act at once: whatever a leader
 * writes names holder and epoch in the same statement, and locks or changes the row that a takeover must change.
 *
 * The leader's own clock is the second fence: it stops acting before its lease can end, see membership.ts.
 */

/** Renewed each `renewMs`; one lost renewal is survived, and a takeover happens within five seconds. */
export const leaseMs = 3_500;
export const renewMs = 1_500;
/** A leader acts until this long before the end of its lease, counted from before the renewal was sent. */
export const marginMs = 700;

export interface Lease {
  readonly holder: string;
  readonly node: string;
  readonly epoch: number;
  /** Negative: nobody leads. */
  readonly remainingMs: number;
  readonly verdict: Verdict | null;
}

/** What a leader's statement must name. */
export interface Fence {
  readonly instance: string;
  readonly epoch: number;
}

/**
 * For a leader's writes elsewhere: a CTE that is empty for whoever does not lead, and that keeps a takeover waiting until
 * the statement is done. `$1` and `$2` are instance and epoch; use it as `exists (select from fence)`.
 */
export const fence = `fence as materialized (
  select from leader where holder = $1 and epoch = $2 and until > clock_timestamp() for share)`;

const untilNow = `clock_timestamp() + interval '${leaseMs} milliseconds'`;

export async function readLease(pool: pg.Pool): Promise<Lease | undefined> {
  const [lease] = await run<Lease & pg.QueryResultRow>(
    pool,
    `select holder, node, epoch, verdict,
       coalesce(extract(epoch from nullif(until, '-infinity') - clock_timestamp()) * 1000, -1)::float8 as "remainingMs"
     from leader`,
    [],
  );
  return lease;
}

/** @returns the new epoch, undefined when somebody else leads. */
export async function takeLease(pool: pg.Pool, self: Self): Promise<number | undefined> {
  const [row] = await run<{ epoch: number }>(
    pool,
    `update leader set holder = $1, node = $2, epoch = epoch + 1, until = ${untilNow}
     where until < clock_timestamp() returning epoch`,
    [self.instance, self.node],
  );
  return row?.epoch;
}

/** Renews the lease and writes the verdict, in one. @returns false when another one leads: it must not act any more. */
export async function renewLease(pool: pg.Pool, by: Fence, verdict: Verdict): Promise<boolean> {
  const rows = await run(
    pool,
    `update leader set until = ${untilNow}, verdict = $3 where holder = $1 and epoch = $2 returning epoch`,
    [by.instance, by.epoch, JSON.stringify(verdict)],
  );
  return rows.length === 1;
}

/** Another may lead at once. */
export async function resignLease(pool: pg.Pool, by: Fence): Promise<void> {
  await run(pool, 'update leader set until = clock_timestamp() where holder = $1 and epoch = $2', [
    by.instance,
    by.epoch,
  ]);
}
