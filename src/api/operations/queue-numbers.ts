import type pg from 'pg';

/** What is in the queue, as all processes of the API see it, by key store. */
export interface QueueNumbers {
  readonly open: readonly { readonly keyStore: string; readonly state: string; readonly count: number }[];
  /** Age of the oldest request that waits for a first lease; none waits: not listed. */
  readonly oldestSeconds: readonly { readonly keyStore: string; readonly seconds: number }[];
  /** Worker instances that asked for work in the last seconds. */
  readonly instances: readonly { readonly keyStore: string; readonly count: number }[];
}

/** Workers without room still call once a second; this much is not a gap. */
const seenMs = 5_000;

/** Three counts over partial indexes: cheap however many finished requests there are. */
export async function readQueueNumbers(pool: pg.Pool): Promise<QueueNumbers> {
  const [open, oldest, instances] = await Promise.all([
    pool.query<{ keyStore: string; state: string; count: number }>(
      `select key_store as "keyStore", state, count(*)::int as count from request
       where state in ('queued', 'leased') group by key_store, state`,
    ),
    pool.query<{ keyStore: string; seconds: number }>(
      `select key_store as "keyStore", greatest(0, extract(epoch from now() - min(created_at)))::float8 as seconds
       from request where state = 'queued' and deliveries = 0 group by key_store`,
    ),
    pool.query<{ keyStore: string; count: number }>(
      `select key_store as "keyStore", count(*)::int as count from driver_instance
       where ended_at is null and seen_at > now() - $1 * interval '1 millisecond' group by key_store`,
      [seenMs],
    ),
  ]);
  return { open: open.rows, oldestSeconds: oldest.rows, instances: instances.rows };
}
