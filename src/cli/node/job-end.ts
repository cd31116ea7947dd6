import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { JobWithMetadata, PgBoss } from 'pg-boss';
import { CodedError } from '../../shared/errors.ts';
import type { QueueName } from '../../shared/maintenance/queues.ts';
import { type Facts, readReports } from '../../shared/maintenance/reports.ts';
import { type Progress, startProgress } from '../progress.ts';

const lookMs = 500;

/**
 * Waits until a job is over, and shows how far it is while it tells.
 * @returns undefined where nothing is known of it any more.
 * @throws JOB_FAILED
 */
export async function jobEnd(
  boss: PgBoss,
  pool: pg.Pool,
  queue: QueueName,
  id: string,
): Promise<JobWithMetadata<unknown> | undefined> {
  let progress: Progress | undefined;
  try {
    for (;;) {
      const [job] = await boss.findJobs(queue, { id });
      const report = (await readReports(pool)).find((one) => one.queue === queue);
      // Before it begins, the report is that of the run before.
      const far = report?.state === 'running' ? howFar(report.facts) : undefined;
      if (far !== undefined) {
        progress ??= startProgress(queue);
        progress.at(far.done, far.total);
      }
      if (job === undefined || job.state === 'completed' || job.state === 'cancelled') return job;
      if (job.state === 'failed') throw new CodedError('JOB_FAILED', `${queue}: ${report?.problem ?? 'no report'}`);
      await sleep(lookMs);
    }
  } finally {
    progress?.end();
  }
}

/** What running jobs say of themselves, in their own words. Pure. @returns undefined for a job that says nothing of it */
export function howFar(facts: Facts): { readonly done: number; readonly total?: number } | undefined {
  const number = (name: string): number | undefined => {
    const value = facts[name];
    return typeof value === 'number' ? value : undefined;
  };
  const [moved, remaining, checked, keys] = ['moved', 'remaining', 'checked', 'keys'].map(number);
  if (moved !== undefined && remaining !== undefined) return { done: moved, total: moved + remaining };
  if (checked !== undefined) return keys === undefined ? { done: checked } : { done: checked, total: keys };
  const done = number('removed') ?? number('apiKeys');
  return done === undefined ? undefined : { done };
}
