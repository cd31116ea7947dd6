import type pg from 'pg';
import type { CheckedKey } from '../../../shared/hsm-work.ts';
import { writeUnder } from '../../../shared/maintenance/attempt.ts';
import type { JobRun } from '../job.ts';

/** Stored keys that failed when they were last checked: alarms, until they hold again. */

/** A key that is gone is the matter of reconciliation; one that could not be checked is no finding about the key. */
export function isFinding({ verdict }: CheckedKey): boolean {
  return verdict === 'tag' || verdict === 'unusable' || verdict === 'attributes';
}

/** Those that were not looked at for longest. */
export async function oldestFindings(pool: pg.Pool, most: number): Promise<string[]> {
  const { rows } = await pool.query<{ key_id: string }>(
    'select key_id from key_finding order by last_found_at, key_id limit $1',
    [most],
  );
  return rows.map((row) => row.key_id);
}

export async function findingsAmong(pool: pg.Pool, keyIds: readonly string[]): Promise<Set<string>> {
  const { rows } = await pool.query<{ key_id: string }>('select key_id from key_finding where key_id = any($1)', [
    keyIds,
  ]);
  return new Set(rows.map((row) => row.key_id));
}

export async function keepFindings({ pool, attempt }: JobRun, bad: readonly CheckedKey[]): Promise<void> {
  if (bad.length === 0) return;
  await writeUnder(
    pool,
    attempt,
    `insert into key_finding (key_id, verdict, problem)
     select found.key_id, found.verdict, found.problem
     from jsonb_to_recordset($4::jsonb) as found (key_id text, verdict text, problem text)
     where exists (select from attempt)
     on conflict (key_id) do update set verdict = excluded.verdict, problem = excluded.problem,
       last_found_at = clock_timestamp()
     returning key_id`,
    [JSON.stringify(bad.map(({ keyId, verdict, problem = '' }) => ({ key_id: keyId, verdict, problem })))],
  );
}

/** Nobody could say whether they fail still: they stand, and come after all others, which would have no turn otherwise. */
export async function putOffFindings({ pool, attempt }: JobRun, keyIds: readonly string[]): Promise<void> {
  if (keyIds.length === 0) return;
  await writeUnder(
    pool,
    attempt,
    `update key_finding set last_found_at = clock_timestamp()
     where key_id = any($4) and exists (select from attempt) returning key_id`,
    [keyIds],
  );
}

export async function forgetFindings({ pool, attempt }: JobRun, keyIds: readonly string[]): Promise<void> {
  if (keyIds.length === 0) return;
  await writeUnder(
    pool,
    attempt,
    'delete from key_finding where key_id = any($4) and exists (select from attempt) returning key_id',
    [keyIds],
  );
}
