import type pg from 'pg';
import type { DatabaseConfiguration } from '../configuration/sections.ts';
import { CodedError } from '../errors.ts';

/**
 * Replicas must be synchronous: a standby that lags behind when it is promoted would lose keys whose addresses are already
 * in use, and signatures that were released.
 *
 * What a role without privileges can see is enough: how many replicas are connected, and whether the server waits for
 * any. With `pg_read_all_stats` the state of each replica is seen too.
 */
export interface Replication {
  readonly replicas: number;
  /** Null: this role may not see it. */
  readonly synchronous: number | null;
  /** synchronous_standby_names */
  readonly waitsFor: string;
}

/** One row, of type `Replication`. */
export const replicationQuery = `select count(*)::int as replicas, current_setting('synchronous_standby_names') as "waitsFor",
  case when count(sync_state) = count(*) then (count(*) filter (where sync_state in ('sync', 'quorum')))::int end
    as synchronous
  from pg_stat_replication`;

export async function readReplication(pool: Pick<pg.Pool, 'query'>): Promise<Replication> {
  const { rows } = await pool.query<Replication & pg.QueryResultRow>(replicationQuery);
  if (rows[0] === undefined) throw new Error('an aggregate has one row');
  return rows[0];
}

/** Why a promotion could lose what was committed; undefined: it could not. Pure. */
export function replicationProblem({ replicas, synchronous, waitsFor }: Replication): string | undefined {
  if (waitsFor.trim() === '')
    return replicas === 0
      ? undefined
      : `${replicas} replicas are connected and none is synchronous: synchronous_standby_names is empty`;
  if (replicas > 0 && synchronous === 0)
    return `${replicas} replicas are connected and none is synchronous: synchronous_standby_names is ${waitsFor}`;
  return undefined;
}

/**
 * The start-up check of every process.
 * @returns the problem, where it is no reason to stop; undefined: all is well.
 * @throws REPLICAS_NOT_SYNCHRONOUS where the configuration demands synchronous replicas
 */
export async function checkReplication(pool: pg.Pool, database: DatabaseConfiguration): Promise<string | undefined> {
  const replication = await readReplication(pool);
  const problem = replicationProblem(replication);
  if (database.synchronousReplica !== 'required') return problem;
  const missing = replication.waitsFor.trim() === '' ? 'no synchronous replica is configured' : undefined;
  const fault = problem ?? missing;
  if (fault !== undefined) throw new CodedError('REPLICAS_NOT_SYNCHRONOUS', `${database.name}: ${fault}`);
  return undefined;
}
