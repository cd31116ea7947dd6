import type pg from 'pg';
import { presenceMs } from './lease.ts';
import { ofRequest, type RequestRecord, requestColumns } from './request-row.ts';

/** A request whose lease ended this often without an outcome has failed: something about it ends its workers. */
export const maxAttempts = 5;

/**
 * Ends an instance for ever: it never gets work again. Only its own node may.
 * @returns false when there is no such instance of that node.
 */
export async function endInstance(pool: pg.Pool, node: string, instance: string): Promise<boolean> {
  const { rowCount } = await pool.query(
    'update driver_instance set ended_at = coalesce(ended_at, now()) where id = $1 and node = $2',
    [instance, node],
  );
  return rowCount === 1;
}

/**
 * Ends leases whose instance ended, was not seen, or did not renew; the requests go back to the queue, or fail after
 * the last attempt. That a lease ended without an outcome counts as an attempt.
 * @param instance look at this instance's leases only.
 * @returns the rows that failed for good, and how many went back.
 */
export async function endLeases(
  pool: pg.Pool,
  instance?: string,
): Promise<{ failed: RequestRecord[]; requeued: number }> {
  const { rows } = await pool.query<RequestRecord>(
    `with lapsed as (
       select request.id from request join driver_instance i on i.id = request.instance
       where request.state = 'leased' and ($3::uuid is null or i.id = $3)
         and (i.ended_at is not null or i.seen_at < now() - $1 * interval '1 millisecond' or request.lease_until < now())
       for update of request skip locked
     )
     update request set attempts = attempts + 1, instance = null, lease = null, lease_until = null,
       state = case when attempts + 1 >= $2 then 'failed' else 'queued' end,
       error_code = case when attempts + 1 >= $2 then 'ATTEMPTS_EXHAUSTED' end,
       error_message = case when attempts + 1 >= $2 then 'its workers ended ' || $2 || ' times without an outcome' end,
       done_at = case when attempts + 1 >= $2 then now() end
     from lapsed where request.id = lapsed.id
     returning ${ofRequest(requestColumns)}`,
    [presenceMs, maxAttempts, instance ?? null],
  );
  const failed = rows.filter((row) => row.state === 'failed');
  return { failed, requeued: rows.length - failed.length };
}

/** Signature requests that nobody finished in time have failed. A late signature is refused from then on. */
export async function expireRequests(pool: pg.Pool): Promise<RequestRecord[]> {
  const { rows } = await pool.query<RequestRecord>(
    `with late as (
       select id from request where state in ('queued', 'leased') and expires_at < now() for update skip locked limit 1000
     )
     update request set state = 'failed', error_code = 'EXPIRED', error_message = 'expired', done_at = now(),
       instance = null, lease = null, lease_until = null
     from late where request.id = late.id
     returning ${ofRequest(requestColumns)}`,
  );
  return rows;
}

/** A GenerateKey that no driver ever saw is taken back: its caller is told that nothing was made. */
export async function cancelUndelivered(pool: pg.Pool, id: string): Promise<RequestRecord | undefined> {
  const { rows } = await pool.query<RequestRecord>(
    `update request set state = 'cancelled', done_at = now()
     where id = $1 and kind = 'GenerateKey' and state = 'queued' and deliveries = 0
     returning ${requestColumns}`,
    [id],
  );
  return rows[0];
}
