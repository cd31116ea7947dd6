import type pg from 'pg';
import { inBatches } from '../hourly.ts';

const batch = 1_000;

/**
 * Trimming of the queue: final signature requests that are older than the API remembers, in small batches, by one process
 * at a time. Requests that made a key stay with their key: they are what a repeated call is answered by.
 *
 * Who repeats a request after this time makes a new one; the drivers' journal keeps its rows for longer.
 * @returns how many rows were removed.
 */
export async function trimRequests(pool: pg.Pool, rememberDays: number, signal: AbortSignal): Promise<number> {
  // The function refuses whatever is younger than its own floor, and answers 0 while another process is at it.
  const remove = async (most: number): Promise<number> => {
    const { rows } = await pool.query<{ removed: string }>(
      'select trim_requests(make_interval(days => $1), $2) as removed',
      [rememberDays, most],
    );
    return Number(rows[0]?.removed ?? 0);
  };
  return await inBatches(remove, batch, signal);
}
