import type pg from 'pg';
import type { Log } from '../../shared/log.ts';
import type { Attempt } from '../../shared/maintenance/attempt.ts';
import {
  type Facts,
  type JobSaid,
  reportDone,
  reportFailure,
  reportProgress,
  reportStart,
} from '../../shared/maintenance/reports.ts';
import type { HsmDesk } from './hsm-desk.ts';
import type { Job } from './job.ts';
import type { JobAudit } from './job-audit.ts';

export interface JobRunnerOptions {
  readonly pool: pg.Pool;
  readonly node: string;
  /** See JobRun. */
  readonly data: unknown;
  readonly hsm: HsmDesk;
  readonly audit: JobAudit;
  readonly log: Log;
}

/**
 * One attempt at a job: its start, its end and what it says are kept, all under the attempt.
 * @throws what the job threw; pg-boss tries again as the queue says.
 */
export async function runJob(
  job: Job,
  attempt: Attempt,
  signal: AbortSignal,
  { pool, node, data, hsm, audit, log: parent }: JobRunnerOptions,
): Promise<JobSaid> {
  const log = parent.child({ job: attempt.queue });
  const began = performance.now();
  await reportStart(pool, attempt, node);
  try {
    const progress = (facts: Facts): Promise<void> => reportProgress(pool, attempt, facts);
    const said = await job({ attempt, data, signal, pool, hsm, audit, progress, log });
    await reportDone(pool, attempt, said);
    const ms = Math.round(performance.now() - began);
    for (const alarm of said.alarms) log.error({ alarm }, 'maintenance alarm');
    log.info({ ms, ...said.facts }, 'maintenance job done');
    return said;
  } catch (error) {
    const problem = (error as Error).message;
    if (signal.aborted) log.info({ cause: problem }, 'maintenance job interrupted; it is tried again');
    else log.warn({ cause: problem, attempt: attempt.retryCount + 1 }, 'maintenance job failed');
    // The database may be what failed.
    await reportFailure(pool, attempt, problem).catch(() => {});
    throw error;
  }
}
