import type { JobStatus } from '../../shared/maintenance/job-statuses.ts';
import type { Families, Sample } from '../../shared/operations/families.ts';
import type { NodeStatus } from './status.ts';

/** What the cluster's maintenance jobs said last; every node says the same of them. */
export function addMaintenanceMetrics({ gauge }: Families, status: () => NodeStatus): void {
  const each = (read: (job: JobStatus) => number | undefined): Sample[] =>
    status().maintenance.jobs.flatMap((one): Sample[] => {
      const value = read(one);
      return value === undefined ? [] : [[{ job: one.job }, value]];
    });

  gauge('job_last_done_timestamp_seconds', 'When the maintenance job was done last', ['job'], () =>
    each(({ lastDoneAt }) => (lastDoneAt == null ? undefined : Date.parse(lastDoneAt) / 1_000)),
  );
  gauge('job_failed', '1 when the last run of the maintenance job failed', ['job'], () =>
    each(({ state }) => (state === undefined ? undefined : Number(state === 'failed'))),
  );
  gauge('job_alarms', 'Alarms of the last run of the maintenance job; /status has their texts', ['job'], () =>
    each(({ alarms }) => alarms?.length),
  );
}
