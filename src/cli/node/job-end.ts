import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { JobWithMetadata, PgBoss } from 'pg-boss';
import { CodedError } from '../../shared/errors.ts';
import type { QueueName } from '../../shared/maintenance/queues.ts';
import { readReports } from '../../shared/maintenance/reports.ts';

const lookMs = 500;

/**
 * Waits until a job is over.
 * @returns undefined where nothing is known of it any more.
 * @throws JOB_FAILED
 */
export async function jobEnd(
  boss: PgBoss,
  pool: pg.Pool,
  queue: QueueName,
  id: string,
): Promise<JobWithMetadata<unknown> | undefined> {
  for (;;) {
    const [job] = await boss.findJobs(queue, { id });
    if (job === undefined || job.state === 'completed' || job.state === 'cancelled') return job;
    if (job.state === 'failed') {
      const report = (await readReports(pool)).find((one) => one.queue === queue);
      throw new CodedError('JOB_FAILED', `${queue}: ${report?.problem ?? 'no report'}`);
    }
    await sleep(lookMs);
  }
}
