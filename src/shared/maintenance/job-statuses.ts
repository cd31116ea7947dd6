import type { PgBoss } from 'pg-boss';
import { maintenanceQueue, type QueueName, queueNames } from './queues.ts';
import type { JobReport } from './reports.ts';

/** A job as people and programs see it: what it said last, and when it is due next. */
export interface JobStatus extends Partial<Omit<JobReport, 'queue'>> {
  readonly job: QueueName;
  readonly summary: string;
  /** ISO 8601; absent for a job without a schedule. */
  readonly nextDueAt?: string;
}

/** One for each queue, those that never ran included. */
export function jobStatuses(boss: Pick<PgBoss, 'previewSchedule'>, reports: readonly JobReport[]): JobStatus[] {
  return queueNames.map((job) => {
    const { cron, summary } = maintenanceQueue(job);
    const { queue: _, ...report } = reports.find((one) => one.queue === job) ?? {};
    const [due] = cron === undefined ? [] : boss.previewSchedule(cron, { count: 1 });
    return { job, summary, ...report, ...(due === undefined ? {} : { nextDueAt: due.toISOString() }) };
  });
}
