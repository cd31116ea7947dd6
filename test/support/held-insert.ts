import type pg from 'pg';
import type { Test } from 'tap';
import { insertRequests } from '../../src/api/queue/insert-requests.ts';
import type { NewRequest } from '../../src/api/queue/request.ts';

/**
 * Whoever inserts the same id or user action waits until it is let go.
 * @returns lets go: nothing was inserted
 */
export async function holdInsert(t: Test, pool: pg.Pool, request: NewRequest): Promise<() => Promise<unknown>> {
  const blocker = await pool.connect();
  t.teardown(() => blocker.release());
  await blocker.query('begin');
  const held = { query: blocker.query.bind(blocker) } as pg.Pool;
  await insertRequests(held, [{ request, place: { priority: 0, turn: 0 } }], 300_000);
  return () => blocker.query('rollback');
}

/** Inserts of requests that wait for somebody else. */
export async function insertsWaiting(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query<{ n: number }>(
    `select count(*)::int as n from pg_stat_activity
     where datname = current_database() and wait_event_type = 'Lock' and query like 'insert into request %'`,
  );
  return rows[0]?.n ?? 0;
}
