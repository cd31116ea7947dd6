import type pg from 'pg';
import { inBatches } from '../hourly.ts';

const batch = 1_000;

/**
 * Thinning of the drivers' heads: a busy worker has one signed every five seconds, and after two days the last one of each
 * day is enough, since a head speaks for every entry before it. Which may go is decided by the database's function alone.
 * @returns how many heads were removed.
 */
export async function thinAnchors(pool: pg.Pool, signal: AbortSignal): Promise<number> {
  const remove = async (most: number): Promise<number> => {
    const { rows } = await pool.query<{ removed: string }>('select thin_audit_anchors($1) as removed', [most]);
    return Number(rows[0]?.removed ?? 0);
  };
  return await inBatches(remove, batch, signal);
}
