import type pg from 'pg';
import type { Log } from '../../shared/log.ts';
import type { Attempt } from '../../shared/maintenance/attempt.ts';
import type { QueueName } from '../../shared/maintenance/queues.ts';
import type { Facts, JobSaid } from '../../shared/maintenance/reports.ts';
import type { HsmDesk } from './hsm-desk.ts';
import type { JobAudit } from './job-audit.ts';

/** What a job is given for one attempt. */
export interface JobRun {
  /** Names the attempt in whatever the job changes: use `writeUnder`, nothing else may write. */
  readonly attempt: Attempt;
  /** What whoever asked for the run gave with it: anything, a database writer may have written it. */
  readonly data: unknown;
  /** The time limit passed, the attempt is over, or the node stops: end soon, throw what you like. */
  readonly signal: AbortSignal;
  /** Two connections, shared with pg-boss and all jobs of the node: short statements. */
  readonly pool: pg.Pool;
  readonly hsm: HsmDesk;
  /** For what changes rows: the entries go into the statement that changes them. */
  readonly audit: JobAudit;
  /** Kept and shown while the job runs. @throws AttemptOver */
  progress(facts: Facts): Promise<void>;
  readonly log: Log;
}

/** @throws what makes the attempt fail; it is tried again as its queue says. */
export type Job = (run: JobRun) => Promise<JobSaid>;

/** Every queue has its job. */
export type Jobs = Readonly<Record<QueueName, Job>>;
