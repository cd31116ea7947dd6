import type pg from 'pg';
import { type Attempt, writeUnder } from './attempt.ts';

/**
 * What each job said last: one row for each queue in `job_report`, kept for ever. Written under the attempt, so that what
 * is shown is what the attempt that counts did.
 */
export interface JobSaid {
  /** Counts and short texts; the same names each time. */
  readonly facts: Facts;
  /** Whole sentences on what an operator must look at; empty when all is well. */
  readonly alarms: readonly string[];
  /** For whoever asked for this run; kept with the job and nowhere else. */
  readonly details?: unknown;
}
export type Facts = Readonly<Record<string, number | string>>;

export interface JobReport {
  readonly queue: string;
  readonly state: 'running' | 'done' | 'failed';
  readonly node: string;
  /** ISO 8601, database time. */
  readonly startedAt: string;
  readonly endedAt: string | null;
  readonly lastDoneAt: string | null;
  /** Of the run that goes on, or of the last one. */
  readonly facts: Facts;
  /** Of the last run that was done. */
  readonly alarms: readonly string[];
  /** Why the last run failed. */
  readonly problem: string | null;
}

export async function reportStart(pool: pg.Pool, attempt: Attempt, node: string): Promise<void> {
  await writeUnder(
    pool,
    attempt,
    `insert into job_report (queue, state, node, started_at) select $1, 'running', $4, clock_timestamp() from attempt
     on conflict (queue) do update set state = 'running', node = excluded.node, started_at = excluded.started_at,
       ended_at = null, facts = '{}', problem = null
     returning queue`,
    [node],
  );
}

/** How far it is. */
export async function reportProgress(pool: pg.Pool, attempt: Attempt, facts: Facts): Promise<void> {
  await writeUnder(
    pool,
    attempt,
    'update job_report set facts = $4 where queue = $1 and exists (select from attempt) returning queue',
    [JSON.stringify(facts)],
  );
}

export async function reportDone(pool: pg.Pool, attempt: Attempt, said: JobSaid): Promise<void> {
  await writeUnder(
    pool,
    attempt,
    `update job_report set state = 'done', facts = $4, alarms = $5, ended_at = clock_timestamp(),
       last_done_at = clock_timestamp()
     where queue = $1 and exists (select from attempt) returning queue`,
    [JSON.stringify(said.facts), JSON.stringify(said.alarms)],
  );
}

export async function reportFailure(pool: pg.Pool, attempt: Attempt, problem: string): Promise<void> {
  await writeUnder(
    pool,
    attempt,
    `update job_report set state = 'failed', problem = $4, ended_at = clock_timestamp()
     where queue = $1 and exists (select from attempt) returning queue`,
    [problem],
  );
}

/** The queues that this node was at work on, as far as it said. */
export async function queuesAtWorkOn(pool: pg.Pool, node: string): Promise<string[]> {
  const { rows } = await pool.query<{ queue: string }>(
    "select queue from job_report where state = 'running' and node = $1",
    [node],
  );
  return rows.map((row) => row.queue);
}

export async function readReports(pool: pg.Pool): Promise<JobReport[]> {
  const { rows } = await pool.query<JobReport & pg.QueryResultRow>(
    `select queue, state, node, ${iso('started_at')} as "startedAt", ${iso('ended_at')} as "endedAt",
       ${iso('last_done_at')} as "lastDoneAt", facts, alarms, problem
     from job_report order by queue`,
  );
  return rows;
}

function iso(column: string): string {
  return `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
}
